/** What claims can say that those of a good access token do not (RFC 7519 §4, RFC 9068 §2.2, RFC 8725 §3). */
import { audience, setMember } from '../draft.js'
import { withMember, withOtherEncoding, withOtherText, withTwin, type Mutation } from './mutation.js'

const names = [
  'iss',
  'aud',
  'exp',
  'nbf',
  'iat',
  'sub',
  'jti',
  'client_id',
  'scope',
  'scp',
  'azp',
  'cnf',
  'nonce',
  'at_hash',
  'c_hash',
  's_hash',
  'events',
  'htm',
  'htu',
  'auth_time',
  'acr',
  'amr',
  'token_use',
  'typ',
  'act',
  'may_act',
  'roles',
  'sid',
  'gty',
]

const values = [
  undefined,
  'null',
  'true',
  'false',
  '0',
  '-0',
  '1',
  '-1',
  '1.5',
  '1e300',
  '1e400',
  '-1e400',
  '9007199254740991',
  '9007199254740993',
  '""',
  '" "',
  '"x"',
  '"1"',
  '"\\u0000"',
  '"\\ud800"',
  '[]',
  '[null]',
  '[""]',
  '["x"]',
  '[["x"]]',
  '{}',
  '{"x":1}',
  '{"__proto__":{"x":1}}',
]

/** Seconds from now: around the tolerance, the ends of 32 and 53 bits, and milliseconds for seconds. */
const offsets = [
  -1e9,
  -3_600,
  -31,
  -30.5,
  -30.2,
  -30,
  -29.8,
  -29.5,
  -29,
  -1,
  -0.5,
  0,
  0.5,
  1,
  29,
  29.5,
  29.8,
  30,
  30.2,
  30.5,
  31,
  3_600,
  2 ** 31,
  2 ** 32,
  1e12,
  2 ** 53,
]

function times(now: number): Mutation[] {
  return ['exp', 'nbf', 'iat'].flatMap((name) =>
    [...offsets.map((offset) => now + offset), now * 1_000, now].flatMap((time) => [
      withMember('claims', name, JSON.stringify(time)),
      withMember('claims', name, JSON.stringify(String(time))),
      withMember('claims', name, `[${time}]`),
    ]),
  )
}

const aud = JSON.stringify(audience)
const audiences = [
  `[${aud}]`,
  `["x",${aud}]`,
  `[${aud},"x"]`,
  `[${aud},1]`,
  `[1,${aud}]`,
  `[${aud},null]`,
  `[[${aud}]]`,
  `[${aud},${aud}]`,
  `{"0":${aud}}`,
  `{"length":1,"0":${aud}}`,
  `{"value":${aud}}`,
  `${audience}/`,
  `${audience} `,
  ` ${audience}`,
  `${audience}.evil.example`,
  `x ${audience}`,
  audience.slice(0, -1),
  audience.toUpperCase(),
  audience.replace('https', 'http'),
  `${audience}#`,
  `${audience}:443`,
  `${audience}\0`,
  'https://api.ехample.com',
  'https://api',
  'client-1',
  '*',
  'https://*.example.com',
  'constructor',
].map((value) => (/^[[{]/.test(value) ? value : JSON.stringify(value)))

/** The issuer is known only when the token is made. */
function issuers(): Mutation[] {
  const changes: [string, (issuer: string) => string][] = [
    ['with a slash', (issuer) => JSON.stringify(`${issuer}/`)],
    ['in upper case', (issuer) => JSON.stringify(issuer.toUpperCase())],
    ['of https', (issuer) => JSON.stringify(issuer.replace('http:', 'https:'))],
    ['with a blank', (issuer) => JSON.stringify(`${issuer} `)],
    ['with a query', (issuer) => JSON.stringify(`${issuer}?`)],
    ['with a fragment', (issuer) => JSON.stringify(`${issuer}#`)],
    ['with a user', (issuer) => JSON.stringify(issuer.replace('//', '//x@'))],
    ['with a NUL', (issuer) => JSON.stringify(`${issuer}\0`)],
    ['without its last character', (issuer) => JSON.stringify(issuer.slice(0, -1))],
    ['by another name', (issuer) => JSON.stringify(issuer.replace('127.0.0.1', 'localhost'))],
    ['by the address in hex', (issuer) => JSON.stringify(issuer.replace('127.0.0.1', '0x7f.1'))],
    ['in an array', (issuer) => JSON.stringify([issuer])],
    ['in an array with another', (issuer) => JSON.stringify(['https://evil.example', issuer])],
    ['in an object', (issuer) => JSON.stringify({ value: issuer })],
    ['of another', () => '"https://evil.example"'],
    // The same text, in other JSON.
    ['with escapes', (issuer) => JSON.stringify(issuer).replaceAll('/', String.raw`\/`)],
    ['with escapes by number', (issuer) => JSON.stringify(issuer).replaceAll(':', String.raw`\u003a`)],
  ]
  return changes.map(([name, json]) => ({
    name: `claims: the issuer ${name}`,
    apply: ({ claims, issuer }) => setMember(claims, 'iss', json(issuer)),
  }))
}

/** Good claims where only a prototype has them. */
function inherited(): Mutation[] {
  return ['__proto__', 'constructor', 'prototype'].flatMap((place) =>
    ['iss', 'aud', 'exp'].map((name) => ({
      name: `claims: ${name} in ${place}`,
      apply({ claims }) {
        const json = claims.members.find(([one]) => one === name)?.[1]
        setMember(claims, name, undefined)
        setMember(claims, place, `{${JSON.stringify(name)}:${json}}`)
      },
    })),
  )
}

const kinds: [string, string][] = [
  // Whoever makes a text of them fails, before there is a signature to look at.
  ...['typ', 'token_use'].flatMap((name): [string, string][] => [
    [name, '{"toString":1}'],
    [name, '{"toString":null,"valueOf":null}'],
  ]),
  ...['id', 'ID', 'access', 'refresh', 'Id'].map((kind): [string, string] => [
    'token_use',
    JSON.stringify(kind),
  ]),
  ...['ID', 'Bearer', 'Refresh', 'Offline', 'Logout', 'DPoP'].map((kind): [string, string] => [
    'typ',
    JSON.stringify(kind),
  ]),
  ['cnf', '{"jkt":"AAAA"}'],
  ['cnf', '{"x5t#S256":"AAAA"}'],
  ['cnf', '{"jwk":{"kty":"EC"}}'],
  ['cnf', '{"jkt":"AAAA","x5t#S256":"AAAA"}'],
  ['events', '{"http://schemas.openid.net/event/backchannel-logout":{}}'],
  ['amr', '["pwd"]'],
  ['sub', JSON.stringify('u'.repeat(4_000))],
  ['sub', '"\\u0075ser-1"'],
  ['sub', '"user-1\\u202e"'],
  ['scope', '["read","write"]'],
  ['scope', '"read  write"'],
  ['scope', '{"0":"read"}'],
  ['x', `${'['.repeat(1_000)}${']'.repeat(1_000)}`],
  ['x', `${'{"x":'.repeat(500)}1${'}'.repeat(500)}`],
  ['x', `[${'0,'.repeat(2_000)}0]`],
  ['x', '1e-400'],
  ['x', `1${'0'.repeat(400)}`],
  ['', '"x"'],
  ['toString', '"x"'],
  ['hasOwnProperty', '1'],
  ['toJSON', '"x"'],
  ['then', '"x"'],
  ['__proto__', '{"scope":"admin"}'],
  ['__proto__', 'null'],
]

/** An ID token: what says what a token allows is not in it. */
const idToken: Mutation[] = ['auth_time', 'acr', 'amr', 'nonce', 'at_hash', 'sid'].map((name) => ({
  name: `claims: those of an ID token with ${name}`,
  apply({ claims }) {
    for (const gone of ['scope', 'client_id', 'jti']) setMember(claims, gone, undefined)
    setMember(claims, name, '"x"')
  },
}))

export function claimMutations(now: number): Mutation[] {
  return [
    ...names.flatMap((name) => values.map((json) => withMember('claims', name, json))),
    ...times(now),
    ...audiences.map((json) => withMember('claims', 'aud', json)),
    ...issuers(),
    ...inherited(),
    ...kinds.map(([name, json]) => withMember('claims', name, json)),
    ...idToken,
    ...withTwin('claims', 'iss', '"https://evil.example"'),
    ...withTwin('claims', 'aud', '"https://evil.example"'),
    ...withTwin('claims', 'exp', '1'),
    ...withTwin('claims', 'exp', '"9999999999"'),
    ...withTwin('claims', 'sub', '"admin"'),
    ...withTwin('claims', 'sub', 'null'),
    ...withTwin('claims', 'cnf', '{"jkt":"AAAA"}'),
    ...withTwin('claims', 'nonce', '"n"'),
    ...withOtherText('claims'),
    ...withOtherEncoding('claims'),
  ]
}
