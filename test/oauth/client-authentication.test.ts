import { createPublicKey, generateKeyPairSync, verify, type KeyObject } from 'node:crypto'
import { authorizationCodeGrant } from 'openid-client'
import { describe, expect, test } from 'vitest'
import { httpClient, type Fetch } from '../../lib/http.js'
import { algorithms } from '../../lib/jose/jwt.js'
import { createClient } from '../../lib/oauth/client.js'
import {
  clientAuthMethod,
  signingKey,
  type ClientCredentials,
  type ClientKey,
} from '../../lib/oauth/client-authentication.js'
import type { ServerMetadata } from '../../lib/oauth/server-metadata.js'

const server: ServerMetadata = {
  issuer: 'https://auth.example.com',
  authorization_endpoint: 'https://auth.example.com/authorize',
  token_endpoint: 'https://tokens.example.com/token',
}

interface Seen {
  readonly authorization: string | undefined
  readonly body: URLSearchParams
}

/** What the token endpoint sees of a client that redeems a code. */
async function tokenRequest(
  clientId: string,
  credentials: ClientCredentials,
  metadata: Partial<ServerMetadata> = {},
): Promise<Seen> {
  const seen: Seen[] = []
  const fetch: Fetch = async (_url, init) => {
    const request = new Request('https://tokens.example.com/token', init)
    seen.push({
      authorization: request.headers.get('authorization') ?? undefined,
      body: new URLSearchParams(await request.text()),
    })
    return Response.json({ access_token: 'at', token_type: 'bearer' })
  }
  const client = createClient({
    clientId,
    redirectUri: 'https://app.example.com/callback',
    credentials,
    metadata: async () => ({ ...server, ...metadata }),
    http: httpClient(fetch),
    algorithms,
    clockTolerance: 30,
    timeout: 5,
    emit: () => undefined,
    now: () => Math.floor(Date.now() / 1000),
  })
  const answer = new URL('https://app.example.com/callback?code=c')
  await client.authenticated((configuration) =>
    authorizationCodeGrant(configuration, answer, { pkceCodeVerifier: 'v'.repeat(43) }),
  )
  const [request] = seen
  if (!request || seen.length > 1) throw new Error(`${seen.length} token requests`)
  return request
}

describe('the method', () => {
  const key = { key: 'unused' }

  test.each<[ClientCredentials, readonly string[] | undefined, string]>([
    [{}, undefined, 'none'],
    [{}, ['client_secret_basic'], 'none'],
    [{ clientSecret: 's' }, undefined, 'client_secret_basic'],
    [{ clientSecret: 's' }, ['client_secret_post', 'client_secret_basic'], 'client_secret_basic'],
    [{ clientSecret: 's' }, ['client_secret_post'], 'client_secret_post'],
    [{ clientSecret: 's' }, ['private_key_jwt', 'client_secret_post'], 'client_secret_post'],
    [{ clientSecret: 's', method: 'client_secret_post' }, ['client_secret_basic'], 'client_secret_post'],
    [{ privateKey: key }, undefined, 'private_key_jwt'],
    [{ privateKey: key }, ['client_secret_basic'], 'private_key_jwt'],
    [{ method: 'none' }, undefined, 'none'],
  ])('%j at a server that names %j: %s', (credentials, supported, method) => {
    const metadata = supported ? { ...server, token_endpoint_auth_methods_supported: supported } : server
    expect(clientAuthMethod(credentials, metadata)).toBe(method)
  })

  test.each([[[]], [['private_key_jwt', 'tls_client_auth']]])(
    'a secret does not go to a server that names %j',
    (token_endpoint_auth_methods_supported) => {
      expect(() =>
        clientAuthMethod({ clientSecret: 's' }, { ...server, token_endpoint_auth_methods_supported }),
      ).toThrow(expect.objectContaining({ code: 'invalid_configuration', hint: expect.any(String) }))
    },
  )
})

describe('client_secret_basic', () => {
  test.each([
    ['client-1', 'secret', 'client-1:secret'],
    ['0b5cc5d7-2a1f-4a53-9c1b-6a8ad0a7d1f4', 'a_b.c~d-e', '0b5cc5d7-2a1f-4a53-9c1b-6a8ad0a7d1f4:a_b.c~d-e'],
    ['a:b', 'c:d', 'a%3Ab:c%3Ad'],
    ['a b', 'c+d', 'a+b:c%2Bd'],
    ['a%b', "!'()*", 'a%25b:%21%27%28%29%2A'],
    ['\u00e4', '\u20ac', '%C3%A4:%E2%82%AC'],
    ['a/b', '&=?#', 'a%2Fb:%26%3D%3F%23'],
  ])('%s and %s go as %s', async (clientId, clientSecret, credentials) => {
    const { authorization, body } = await tokenRequest(clientId, { clientSecret })
    expect(authorization).toMatch(/^Basic [\w+/]+=*$/)
    expect(Buffer.from((authorization ?? '').slice('Basic '.length), 'base64').toString()).toBe(credentials)
    expect(body.has('client_secret')).toBe(false)
    expect(body.has('client_id')).toBe(false)
  })
})

test('client_secret_post', async () => {
  const { authorization, body } = await tokenRequest('a b', {
    clientSecret: 'c+d',
    method: 'client_secret_post',
  })
  expect(authorization).toBeUndefined()
  expect([body.getAll('client_id'), body.getAll('client_secret')]).toEqual([['a b'], ['c+d']])
})

test('a public client says who it is and sends no secret', async () => {
  const { authorization, body } = await tokenRequest('client-1', {})
  expect(authorization).toBeUndefined()
  expect(body.getAll('client_id')).toEqual(['client-1'])
  expect(body.get('code_verifier')).toBe('v'.repeat(43))
  expect([...body.keys()].toSorted()).toEqual([
    'client_id',
    'code',
    'code_verifier',
    'grant_type',
    'redirect_uri',
  ])
})

describe('T72 private_key_jwt', () => {
  const keys = {
    RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
    ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
    ES512: generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey,
    EdDSA: generateKeyPairSync('ed25519').privateKey,
  }

  test('the assertion is for the issuer alone, short-lived and never the same', async () => {
    const privateKey: ClientKey = { key: keys.RS256, kid: 'k1' }
    const before = Math.floor(Date.now() / 1000)
    const requests = [
      await tokenRequest('client-1', { privateKey }),
      await tokenRequest('client-1', { privateKey }),
    ]
    const assertions = requests.map(({ body, authorization }) => {
      expect(authorization).toBeUndefined()
      expect(body.get('client_assertion_type')).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      const [header = '', claims = '', signature = ''] = (body.get('client_assertion') ?? '').split('.')
      const input = Buffer.from(`${header}.${claims}`)
      const publicKey = createPublicKey(keys.RS256)
      expect(verify('sha256', input, publicKey, Buffer.from(signature, 'base64url'))).toBe(true)
      return { header: decoded(header), claims: decoded(claims) }
    })
    for (const { header, claims } of assertions) {
      expect(header).toMatchObject({ alg: 'RS256', kid: 'k1' })
      expect(claims).toMatchObject({ iss: 'client-1', sub: 'client-1', aud: server.issuer })
      expect(Number(claims['exp']) - before).toBeLessThanOrEqual(65)
    }
    expect(new Set(assertions.map(({ claims }) => claims['jti'])).size).toBe(2)
  })

  test.each(Object.entries(keys))('%s is what the key is for, in every form', async (alg, key) => {
    const forms: ClientKey['key'][] = [
      key,
      String(key.export({ type: 'pkcs8', format: 'pem' })),
      { ...key.export({ format: 'jwk' }), kid: 'of-the-jwk' },
    ]
    for (const form of forms) {
      const { body } = await tokenRequest('client-1', { privateKey: { key: form } })
      expect(decoded((body.get('client_assertion') ?? '').split('.')[0] ?? '')['alg']).toMatch(
        alg === 'EdDSA' ? /^Ed(DSA|25519)$/ : alg,
      )
    }
  })

  test('the name of the key is the JWK’s, unless another is given', () => {
    const jwk = { ...keys.ES256.export({ format: 'jwk' }), kid: 'of-the-jwk' }
    expect(signingKey({ key: jwk }).kid).toBe('of-the-jwk')
    expect(signingKey({ key: jwk, kid: 'given' }).kid).toBe('given')
    expect(signingKey({ key: keys.ES256 }).kid).toBeUndefined()
    expect(signingKey({ key: keys.RS256, alg: 'PS256' }).alg).toBe('PS256')
  })

  test.each<[string, unknown]>([
    ['no PEM', 'secret'],
    ['a public PEM', createPublicKey(keys.RS256).export({ type: 'spki', format: 'pem' })],
    ['a public JWK', createPublicKey(keys.ES256).export({ format: 'jwk' })],
    ['a secret JWK', { kty: 'oct', k: 'AAAA' }],
    ['another curve', generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey],
    ['a key for agreement', generateKeyPairSync('x25519').privateKey],
    ['nothing', undefined],
    ['null', null],
  ])('%s is no signing key', (_what, key) => {
    expect(() => signingKey({ key: key as ClientKey['key'] })).toThrow(Error)
  })
})

describe('a key that cannot sign is refused at once, not at the first login', () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })

  test.each<[string, { key: KeyObject; alg?: string }]>([
    ['a public KeyObject', { key: publicKey }],
    ['an algorithm for secrets', { key: privateKey, alg: 'HS256' }],
    ['an algorithm for another key', { key: privateKey, alg: 'ES256' }],
    ['no algorithm at all', { key: privateKey, alg: 'RSA' }],
  ])('%s', (_what, key) => {
    expect(() => signingKey(key as ClientKey)).toThrow(/does not sign/)
  })
})

function decoded(segment: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(segment, 'base64url').toString()) as Record<string, unknown>
}
