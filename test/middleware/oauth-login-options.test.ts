import { describe, expect, test } from 'vitest'
import { isOAuthError, oauthLogin, type OAuthLoginOptions } from '../../lib/index.js'

const good: OAuthLoginOptions = {
  issuer: 'https://auth.example.com',
  clientId: 'app',
  clientSecret: 'of the app',
  baseUrl: 'https://app.example.com',
  scope: 'openid profile read:projects',
  storage: 'cookie',
  secrets: ['Zq3v8x-b2N5w_P1s9d7f4g6h0jKlM-rT'],
}

type Change = { readonly [Name in keyof OAuthLoginOptions]?: unknown }

function refusal(change: Change & Record<string, unknown>): string {
  try {
    oauthLogin({ ...good, ...change } as OAuthLoginOptions)
  } catch (error) {
    if (isOAuthError(error) && error.code === 'invalid_configuration') return error.message
    throw error
  }
  return 'accepted'
}

test('good options are accepted', () => {
  const more: Change[] = [
    {},
    { clientSecret: undefined },
    { baseUrl: 'https://app.example.com/tools/' },
    { baseUrl: 'http://localhost:3000' },
    { paths: { backchannelLogout: '/told', frontchannelLogout: '/told-in-a-frame', login: undefined } },
    { algorithms: ['ES256', 'EdDSA'] },
    { baseUrl: 'http://127.0.0.1:3000' },
    { baseUrl: 'http://[::1]:3000' },
    { issuer: 'http://localhost:4000' },
    { issuer: 'https://auth.example.com/realms/one/' },
    {
      issuer: undefined,
      scope: 'read',
      endpoints: { authorization: 'https://a.example/a', token: 'https://a.example/t' },
    },
    { secrets: ['N3w-secret-of-thirty-two-byte-0123', ...good.secrets] },
    { queryParameters: ['login_hint', 'scope'], authorizationParameters: { prompt: 'consent', max_age: 60 } },
  ]
  expect(more.map(refusal)).toEqual(more.map(() => 'accepted'))
})

describe('a mistake is refused with what is wrong and what to do', () => {
  const mistakes: [change: Change & Record<string, unknown>, message: string | RegExp][] = [
    [{ baseUrl: undefined }, 'oauthLogin: option "baseUrl" is missing; give the public URL of this app'],
    [{ baseUrl: '/app' }, '"baseUrl" "/app" is not an absolute URL; write it with its scheme and host'],
    [{ baseUrl: 'app.example.com' }, 'is not an absolute URL'],
    [{ baseUrl: 'javascript:alert(1)' }, 'is not an absolute URL'],
    [{ baseUrl: 'http://app.example.com' }, '"baseUrl" "http://app.example.com" is not https; use https'],
    [{ baseUrl: 'http://localhost.example.com' }, 'is not https'],
    [
      { baseUrl: 'https://app.example.com/#x' },
      '"https://app.example.com/#x" has a fragment; remove the "#"',
    ],
    [{ baseUrl: 'https://app.example.com/?x' }, 'has a query; remove the "?"'],
    [
      { baseUrl: 'https://me:pw@app.example.com' },
      'has a user name or password in it; remove what stands before the "@"',
    ],
    [
      { issuer: undefined },
      '"issuer" is missing; give the URL of the authorization server, or its "endpoints"',
    ],
    [{ issuer: 'http://auth.example.com' }, '"issuer" is "http://auth.example.com"; give an https URL'],
    [{ issuer: 'auth.example.com' }, 'give an https URL'],
    [{ issuer: 'https://auth.example.com?x=1' }, 'remove the query and the fragment'],
    [{ endpoints: { authorization: 'https://a.example' } }, '"endpoints.token" is missing'],
    [
      { endpoints: { authorization: 'https://a.example', token: 'http://a.example' } },
      '"endpoints.token" "http://a.example" is not https',
    ],
    [
      { endpoints: { authorization: 'https://a.example', token: 'https://a.example' } },
      '"endpoints.jwks" is missing; ID tokens are checked with its keys',
    ],
    [
      {
        issuer: undefined,
        endpoints: {
          authorization: 'https://a.example',
          token: 'https://a.example',
          jwks: 'https://a.example',
        },
      },
      '"issuer" is missing; ID tokens are checked against it',
    ],
    [{ clientId: '' }, '"clientId" is not a string with content'],
    [
      { clientSecret: '' },
      '"clientSecret" is not a string with content; give the secret, or leave the option out',
    ],
    [{ privateKey: { key: 'x' } }, '"privateKey" is given beside "clientSecret"; use one of the two'],
    [{ clientSecret: undefined, privateKey: { key: 'x' } }, '"privateKey" cannot be read'],
    [
      { tokenEndpointAuthMethod: 'basic' },
      /"tokenEndpointAuthMethod" is "basic"; set it to "client_secret_basic" or/,
    ],
    [{ tokenEndpointAuthMethod: 'private_key_jwt' }, '"privateKey" is missing; "private_key_jwt" needs it'],
    [{ tokenEndpointAuthMethod: 'none' }, 'is "none" beside credentials'],
    [
      { clientSecret: undefined, tokenEndpointAuthMethod: 'client_secret_post' },
      '"clientSecret" is missing; "client_secret_post" needs it',
    ],
    [{ scope: 'openid  profile' }, '"scope" is "openid  profile"; separate scopes by one space each'],
    [{ scope: 'openid,profile "x"' }, 'separate scopes by one space each'],
    [{ scope: ' openid' }, 'separate scopes by one space each'],
    [{ scope: 'openid\tprofile' }, 'separate scopes by one space each'],
    [{ storage: undefined }, '"storage" is missing; set it to "cookie" or "session"'],
    [{ storage: 'redis' }, '"storage" is "redis"; set it to "cookie" or "session"'],
    [{ secrets: undefined }, '"secrets" is not a list with a secret; make one with'],
    [{ secrets: [] }, 'is not a list with a secret'],
    [{ secrets: 'Zq3v8x-b2N5w_P1s9d7f4g6h0jKlM-rT' }, 'is not a list with a secret'],
    [{ secrets: ['short'] }, '"secrets[0]" is shorter than 32 bytes; make one with'],
    [{ secrets: [...good.secrets, 'x'.repeat(40)] }, '"secrets[1]" repeats a few characters'],
    [{ secrets: ['keyboard cat keyboard cat keyboard cat'] }, '"secrets[0]" is a well-known sample'],
    [{ secrets: [undefined] }, '"secrets[0]" is not a string'],
    [{ name: 'a;b' }, '"name" is "a;b"; use letters, digits'],
    [{ paths: { backchannelLogout: '/logout' } }, '"paths" has the same path twice; give each its own'],
    [
      { paths: { backchannelLogout: '/told', frontchannelLogout: '/told' } },
      '"paths" has the same path twice; give each its own',
    ],
    [
      { paths: { frontchannelLogout: 'told' } },
      '"paths.frontchannelLogout" is "told"; give a path that begins with "/"',
    ],
    [
      { paths: { backchannel: '/told' } },
      '"paths.backchannel" is not known; known are login, callback, logout, back',
    ],
    [
      { paths: { backchannelLogout: '/told' }, scope: 'read' },
      '"paths.backchannelLogout" is set without "openid" in the scope; only servers with OpenID Connect',
    ],
    [
      { paths: { frontchannelLogout: '/told' }, scope: 'read' },
      '"paths.frontchannelLogout" is set without "openid" in the scope',
    ],
    [{ algorithms: [] }, '"algorithms" is []; choose from RS256'],
    [{ algorithms: ['HS256'] }, '"algorithms" is ["HS256"]; choose from RS256'],
    [{ paths: { login: 'login' } }, '"paths.login" is "login"; give a path that begins with "/"'],
    [{ paths: { callback: '//evil.example' } }, '"paths.callback" is "//evil.example"'],
    [{ paths: { logout: '/login' } }, '"paths" has the same path twice'],
    [{ paths: { signin: '/x' } }, '"paths.signin" is not known; known are login, callback, logout'],
    [{ returnTo: 'https://evil.example' }, '"returnTo" is "https://evil.example"; give a path of this site'],
    [{ postLogoutReturnTo: '//evil.example' }, '"postLogoutReturnTo" is "//evil.example"'],
    [{ responseMode: 'fragment' }, '"responseMode" is "fragment"; set it to "query" or "form_post"'],
    [{ onError: 'throw' }, '"onError" is "throw"'],
    [{ clockTolerance: 301 }, '"clockTolerance" is 301; give a number of seconds from 0 to 300'],
    [{ clockTolerance: Number.NaN }, '"clockTolerance" is NaN'],
    [{ resource: 'api' }, '"resource" is "api"; give the URL of the API'],
    [{ resource: 'https://api.example.com/#x' }, 'give the URL of the API, without "#"'],
    [{ maxTransactions: 2.5 }, '"maxTransactions" is 2.5; give a whole number from 1 to 20'],
    [{ timeout: '5' }, '"timeout" is "5"; give a number of seconds'],
    [
      { authorizationParameters: { redirect_uri: 'x' } },
      '"authorizationParameters.redirect_uri" is not yours to set',
    ],
    [{ queryParameters: ['redirect_uri'] }, '"queryParameters" has "redirect_uri"; remove it'],
    [{ clientID: 'app' }, '"clientID" is not known; did you mean "clientId"?'],
    [{ secret: 'x' }, '"secret" is not known; did you mean "secrets"?'],
    [{ redirectUri: 'x' }, '"redirectUri" is not known; known are issuer,'],
  ]

  test.each(mistakes)('%j', (change, message) => {
    expect(refusal(change)).toMatch(message)
  })

  test('no options at all', () => {
    expect(() => oauthLogin(undefined as never)).toThrow('oauthLogin: pass an object with options')
  })

  test('no secret is repeated', () => {
    const secret = 'canary-short'
    expect(refusal({ secrets: [secret] })).not.toContain(secret)
    expect(refusal({ clientSecret: undefined, privateKey: { key: secret } })).not.toContain(secret)
  })
})
