/** What a header can say that a good one does not (RFC 7515 §4, RFC 8725 §3). */
import { createPublicKey } from 'node:crypto'
import { setMember, signerOf, type Draft } from '../draft.js'
import { withMember, withOtherEncoding, withOtherText, withTwin, type Mutation } from './mutation.js'

const algs = [
  'none',
  'None',
  'NONE',
  'nOnE',
  '',
  'HS256',
  'HS384',
  'HS512',
  'RS1',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES256K',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
  'Ed448',
  'ML-DSA-44',
  'dir',
  'RSA-OAEP',
  'rs256',
  'es256',
  'eddsa',
  'RS256 ',
  ' RS256',
  'RS256\0',
  'ＲS256',
  'RS256,ES256',
  'constructor',
  'toString',
  '__proto__',
  'hasOwnProperty',
].map((alg) => JSON.stringify(alg))

const kids = [
  '',
  'nobody',
  '../../etc/passwd',
  '/dev/null',
  "' OR 1=1 --",
  '__proto__',
  'constructor',
  'toString',
  'http://127.0.0.1/keys',
  'RS256',
  'rs256 ',
  'rs256\0',
  'k'.repeat(256),
  'k'.repeat(257),
  'ｒs256',
  '0',
  '*',
  'rs256',
  'ps256',
  'es256',
  'es384',
  'eddsa',
  'twin',
  'encryption',
].map((kid) => JSON.stringify(kid))

const typs = [
  'JWT',
  'jwt',
  'Jwt',
  'at+jwt',
  'AT+JWT',
  'application/at+jwt',
  'Application/AT+JWT',
  'application/jwt',
  'JOSE',
  'dpop+jwt',
  'logout+jwt',
  'secevent+jwt',
  'token-introspection+jwt',
  'id+jwt',
  'client-authentication+jwt',
  'oauth-authz-req+jwt',
  'at+jwt ',
  ' at+jwt',
  'at+jwt; charset=utf-8',
  'application/application/at+jwt',
  'text/at+jwt',
  'at+JWT\0',
  'at\u212Ajwt',
  '',
  'Bearer',
  'jwt+at',
].map((typ) => JSON.stringify(typ))

const wrongTypes = ['null', 'true', 'false', '0', '1', '[]', '{}', '[""]']

const crits = [
  '["exp"]',
  '["b64"]',
  '["alg"]',
  '["kid"]',
  '["x"]',
  '["x","x"]',
  '[]',
  '[1]',
  '[null]',
  '[["b64"]]',
  '"b64"',
  'null',
  'true',
  'false',
  '0',
  '""',
  '{}',
  '{"b64":true}',
  '["__proto__"]',
  '["b64","exp"]',
]

/** Members that have no say here. */
const extras: [string, string][] = [
  ['cty', '"JWT"'],
  ['cty', '"at+jwt"'],
  ['zip', '"DEF"'],
  ['enc', '"A256GCM"'],
  ['x5t', '"AAAA"'],
  ['x5t#S256', '"AAAA"'],
  ['nonce', '"n"'],
  ['iss', '"https://evil.example"'],
  ['exp', '1'],
  ['__proto__', '{"alg":"none"}'],
  ['__proto__', '{"crit":["x"]}'],
  ['__proto__', 'null'],
  ['constructor', '{"prototype":{"alg":"none"}}'],
  ['toString', '1'],
  ['hasOwnProperty', 'true'],
  ['', '""'],
  ['url', '"https://evil.example"'],
  ['p2c', '100000000'],
  ['epk', '{"kty":"EC"}'],
  ['x', JSON.stringify('x'.repeat(4_000))],
  ['x', `${'['.repeat(1_000)}${']'.repeat(1_000)}`],
]

/** Keys and addresses of keys in the header: nobody may use them, whoever signed. */
function embeddedKeys(): Mutation[] {
  const members: [string, (draft: Draft) => unknown][] = [
    ['jwk', ({ ring, key }) => ring.foreign[key.algorithm].jwk],
    ['jku', ({ issuer }) => `${issuer}/foreign`],
    ['x5u', ({ issuer }) => `${issuer}/foreign`],
    [
      'x5c',
      ({ ring, key }) => [
        createPublicKey(ring.foreign[key.algorithm].privateKey)
          .export({ type: 'spki', format: 'der' })
          .toString('base64'),
      ],
    ],
  ]
  return members.flatMap(([name, value]) =>
    [true, false].map((isForged) => ({
      name: `header: ${name}, ${isForged ? 'and signed by that key' : 'that did not sign'}`,
      apply(draft) {
        const { key, ring, header } = draft
        setMember(header, name, JSON.stringify(value(draft)))
        if (isForged) draft.signer = signerOf(key.algorithm, ring.foreign[key.algorithm])
      },
    })),
  )
}

/** Signed as the header says, by a key that can and may. */
function honestAlgorithms(): Mutation[] {
  const others = ['RS256', 'RS384', 'RS512', 'PS384', 'PS512', 'Ed25519']
  return others.map((alg) => ({
    name: `header: alg is ${alg}, and so it is signed`,
    apply(draft) {
      const key = draft.ring.keys[alg === 'Ed25519' ? 'EdDSA' : 'PS256']
      setMember(draft.header, 'alg', JSON.stringify(alg))
      setMember(draft.header, 'kid', JSON.stringify(key.kid))
      draft.signer = signerOf(alg, key)
    },
  }))
}

/** Signed as the header says, by a key that could, but is published for something else. */
const misusedKey: Mutation = {
  name: 'header: alg is PS256, and so a key for RS256 has signed',
  apply(draft) {
    const key = draft.ring.keys.RS256
    setMember(draft.header, 'alg', '"PS256"')
    setMember(draft.header, 'kid', JSON.stringify(key.kid))
    draft.signer = signerOf('PS256', key)
  },
}

/** By each published key that the issuer should not sign with so. */
function dubiousKeys(): Mutation[] {
  const places = [0, 1, 2]
  return places.map((place) => ({
    name: `header: the dubious key ${place} signs`,
    apply(draft) {
      const key = draft.ring.dubious[place]!
      setMember(draft.header, 'alg', JSON.stringify(key.algorithm))
      setMember(draft.header, 'kid', JSON.stringify(key.kid))
      draft.signer = signerOf(key.algorithm, key)
    },
  }))
}

export const headerMutations: readonly Mutation[] = [
  ...[undefined, ...wrongTypes, '["RS256"]', ...algs].map((json) => withMember('header', 'alg', json)),
  ...[undefined, ...wrongTypes, '["rs256"]', ...kids].map((json) => withMember('header', 'kid', json)),
  ...[undefined, ...wrongTypes, '["at+jwt"]', ...typs].map((json) => withMember('header', 'typ', json)),
  ...crits.flatMap((json) => [
    withMember('header', 'crit', json),
    withMember('header', 'crit', json, ({ header }) => setMember(header, 'b64', 'true')),
  ]),
  ...['true', 'false', 'null', '"true"', '0'].map((json) => withMember('header', 'b64', json)),
  ...extras.map(([name, json]) => withMember('header', name, json)),
  ...embeddedKeys(),
  ...honestAlgorithms(),
  misusedKey,
  ...dubiousKeys(),
  ...withTwin('header', 'alg', '"none"'),
  ...withTwin('header', 'alg', '"HS256"'),
  ...withTwin('header', 'kid', '"nobody"'),
  ...withTwin('header', 'typ', '"dpop+jwt"'),
  ...withTwin('header', 'typ', '"at+jwt"'),
  ...withTwin('header', 'crit', '["x"]'),
  ...withOtherText('header'),
  ...withOtherEncoding('header'),
]
