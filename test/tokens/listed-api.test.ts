import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { clientCredentials, oauthLogin } from '../../lib/index.js'

const server = { issuer: 'https://auth.example.com', clientId: 'a', clientSecret: 'b' }
const login = {
  ...server,
  baseUrl: 'https://app.example.com',
  storage: 'cookie',
  secrets: [randomBytes(32).toString('hex')],
}
const url = 'https://api.example.com/v1/'

const factories: [name: string, make: (apis: unknown) => unknown][] = [
  ['oauthLogin', (apis) => oauthLogin({ ...login, apis } as never)],
  ['clientCredentials', (apis) => clientCredentials({ ...server, apis } as never)],
]

const mistakes: [api: unknown, message: string][] = [
  [{}, '"apis[1].url" is not a URL'],
  ['http://api.example.com/', '"apis[1].url" is "http://api.example.com/"; give an absolute https URL'],
  [{ url, resource: 'x' }, '"apis[1].resource" is "x"'],
  [{ url, scope: 'a,b c  d' }, '"apis[1].scope" is "a,b c  d"'],
  [{ url, scopes: 'x' }, '"apis[1].scopes" is not known; did you mean "scope"?'],
  [null, '"apis[1]" is null'],
  [{ url, query: 'a=b' }, '"apis[1].query" is not an object'],
  [{ url, query: { access_token: 'x' } }, '"apis[1].query.access_token" is not yours to set'],
  [{ url, query: { a: {} } }, '"apis[1].query.a" is not a text'],
  [{ url, query: { a: 'b\nc' } }, '"apis[1].query.a" is not a text'],
  [{ url, query: { 'a\nb': 'c' } }, '"apis[1].query.a\\nb" is not a text'],
  [{ url, headers: ['a'] }, '"apis[1].headers" is not an object'],
  ...'Authorization DPoP HOST cookie Connection keep-alive proxy-authorization te trailer Transfer-Encoding upgrade content-length cookie2 http2-settings proxy-connection expect'
    .split(' ')
    .map((name): [unknown, string] => [
      { url, headers: { [name]: 'x' } },
      `"apis[1].headers.${name}" is not yours to set`,
    ]),
  [{ url, headers: { a: 'b\r\nc: d' } }, '"apis[1].headers.a" is no header'],
  [{ url, headers: { 'a\r\nb': 'c' } }, '"apis[1].headers.a\\r\\nb" is no header'],
  [{ url, headers: { 'a b': 'c' } }, '"apis[1].headers.a b" is no header'],
  [{ url, headers: { a: 5 } }, '"apis[1].headers.a" is no header'],
]

test.each(factories)('T111 %s says what is wrong with an API, by the option’s name', (name, make) => {
  for (const [api, message] of mistakes) expect(() => make([url, api])).toThrow(`${name}: option ${message}`)
  expect(() => make('x')).toThrow(`${name}: option "apis" is not a list`)
  expect(() => make([{ url, scope: 'a', query: { v: 1 }, headers: { accept: 'x' } }])).not.toThrow()
})
