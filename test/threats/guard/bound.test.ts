/** T101 T102 tokens that are bound to a key or a certificate, and those who present them without it. */
import { randomBytes, sign, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { IncomingMessage, request as httpRequest } from 'node:http'
import { createServer, request as httpsRequest } from 'node:https'
import { Socket } from 'node:net'
import express from 'express'
import * as fc from 'fast-check'
import { createClient } from 'redis'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  createVerifier,
  isOAuthError,
  memoryStore,
  oauthBearer,
  redisStore,
  type DPoPOptions,
  type OAuthBearerOptions,
  type VerifierOptions,
} from '../../../lib/index.js'
import { everythingIn } from '../../support/canaries.js'
import { listening, stopped } from '../../support/listening.js'
import { needProgram } from '../../support/needed.js'
import { breakableStore } from '../../support/open-store.js'
import { hasRedis, startRedis } from '../../support/redis.js'
import { travel } from '../../support/time.js'
import { guardedApi, projectRoutes, startApi, type Api, type ApiOptions, type ApiRequest } from './api.js'
import { audience, compactJws, hmac, seconds, startIssuer, unsigned, type Members } from './issuer.js'
import { digest, edwardsKey, ellipticKey, proofFor, rsaKey, thumbprintOf, type ProofKey } from './proof.js'

/** The world knows the server by this name, whatever its host and port are here. */
const baseUrl = 'https://api.example.com'
const htu = `${baseUrl}/me`
const key = ellipticKey()
const stranger = ellipticKey()
const rsa = rsaKey(2048)
const weak = rsaKey(1024)
const secrets = [randomBytes(32).toString('base64url')]

type MakeProof = (
  claims?: Members,
  header?: Members,
  signer?: (input: string) => Buffer,
  by?: ProofKey,
) => string

interface Scene {
  readonly api: Api
  /** Bound to `key`, and good. */
  readonly token: string
  /** A token with these claims. */
  readonly tokenWith: (claims: Members) => string
  readonly proof: MakeProof
  /** The status, and after a refusal code and reason of the event. */
  verdict(request: ApiRequest): Promise<string>
  /** The same for this proof, if any, and the good token. */
  present(proof: string | undefined, request?: ApiRequest): Promise<string>
}

async function scene(
  dpop: Partial<DPoPOptions> = {},
  options: Partial<OAuthBearerOptions> = {},
  api: ApiOptions = {},
): Promise<Scene> {
  const all = { ...api, options: { dpop: { baseUrl, ...dpop }, ...options } }
  const both = await guardedApi(all)
  return sceneOf(both.api, (claims) => both.issuer.token(claims))
}

function sceneOf(api: Api, tokenWith: Scene['tokenWith']): Scene {
  const token = tokenWith({ cnf: { jkt: key.thumbprint } })
  const verdict: Scene['verdict'] = async (request) => {
    const before = api.events.length
    const { status } = await api.send(request)
    const told = api.events
      .slice(before)
      .flatMap((event) => ('code' in event ? [`${event.code} ${event.error.reason ?? ''}`] : []))
    return [status, ...told].join(' ').trim()
  }
  return {
    api,
    token,
    tokenWith,
    proof: (claims, header, signer, by = key) => proofFor({ htu, token }, by, claims, header, signer),
    verdict,
    present: (proof, { headers = [], ...request } = {}) => {
      const dpop = proof === undefined ? [] : ['dpop', proof]
      return verdict({ ...request, headers: ['authorization', `DPoP ${token}`, ...dpop, ...headers] })
    },
  }
}

const invalid = (reason: string) => `401 invalid_dpop_proof ${reason}`
const refused = (reason: string) => `401 invalid_token ${reason}`

type Routes = NonNullable<ApiOptions['routes']>

describe('T101 a proof that is good', () => {
  const good: [what: string, claims: Members, request?: ApiRequest][] = [
    ['as clients make it', {}],
    ['for a query, which it does not name', {}, { path: '/me?a=1' }],
    ['with a query in its URL, which is passed over', { htu: `${htu}?a=1` }],
    ['with a fragment in its URL, which is passed over', { htu: `${htu}#a` }],
    ['with scheme and host in capitals', { htu: 'HTTPS://API.EXAMPLE.COM/me' }],
    ['with the default port', { htu: 'https://api.example.com:443/me' }],
    ['with an empty port', { htu: 'https://api.example.com:/me' }],
    ['with a letter encoded that needs no encoding', { htu: `${baseUrl}/%6De` }],
    ['for another method', { htm: 'POST' }, { method: 'POST' }],
    ['some seconds old', { iat: seconds() - 20 }],
    ['of a clock that is ahead', { iat: seconds() + 28 }],
    ['with a long name', { jti: 'j'.repeat(256) }],
    ['with times that hold', { exp: seconds() + 3600, nbf: seconds() }],
    ['with a nonce that nobody asked for', { nonce: 'n' }],
    ['with a nonce that is no text', { nonce: 7 }],
  ]

  test.each(good)('T101 %s opens', async (_what, claims, request) => {
    const { present, proof } = await scene()
    expect(await present(proof(claims), request)).toBe('200')
  })

  test.each([
    key,
    ellipticKey('ES384', 'P-384', 'sha384'),
    ellipticKey('ES512', 'P-521', 'sha512'),
    edwardsKey('Ed25519'),
    edwardsKey('EdDSA'),
    rsa,
  ])('T101 signed by $alg opens', async (by) => {
    const { verdict, tokenWith } = await scene()
    const token = tokenWith({ cnf: { jkt: by.thumbprint } })
    const headers = ['authorization', `DPoP ${token}`, 'dpop', proofFor({ htu, token }, by)]
    expect(await verdict({ headers })).toBe('200')
  })

  test('T101 whatever the case of the scheme', async () => {
    const { verdict, token, proof } = await scene()
    expect(await verdict({ headers: ['authorization', `dpop ${token}`, 'dpop', proof()] })).toBe('200')
  })

  test('T101 in a router, behind a proxy that strips a path', async () => {
    const { present, proof } = await scene({ baseUrl: 'https://example.com/api/' }, {}, { routes: inRouter })
    const path = '/v1/me'
    expect(await present(proof({ htu: 'https://example.com/api/v1/me' }), { path })).toBe('200')
    for (const other of ['https://example.com/v1/me', 'https://example.com/api/me', 'https://example.com/me'])
      expect(await present(proof({ htu: other }), { path })).toBe(invalid('htu'))
  })

  test('T101 whether a path writes its encoding large or small', async () => {
    const { present, proof } = await scene({}, {}, { routes: anywhere })
    expect(await present(proof({ htu: `${baseUrl}/a%2fb` }), { path: '/a%2Fb' })).toBe('200')
    expect(await present(proof({ htu: `${baseUrl}/a/b` }), { path: '/a%2Fb' })).toBe(invalid('htu'))
    expect(await present(proof({ htu: `${baseUrl}/a;b` }), { path: '/a%3Bb' })).toBe(invalid('htu'))
  })
})

const inRouter: Routes = (app, guard) => {
  const router = express.Router().use(guard)
  router.get('/me', (_req, res) => void res.send('open'))
  app.use('/v1', router)
}

const anywhere: Routes = (app, guard) => {
  app.use(guard, (_req, res) => void res.send('open'))
}

describe('T101 a proof that is not', () => {
  const claims: [what: string, claims: Members, reason: string][] = [
    ['for another method', { htm: 'POST' }, 'htm'],
    ['for the method in small letters', { htm: 'get' }, 'htm'],
    ['for no method', { htm: undefined }, 'htm'],
    ['for a list of methods', { htm: ['GET'] }, 'htm'],
    ['for another path', { htu: `${baseUrl}/projects` }, 'htu'],
    ['for a path that begins so', { htu: `${baseUrl}/me/x` }, 'htu'],
    ['for the path in capitals', { htu: `${baseUrl}/ME` }, 'htu'],
    ['for the path with a slash at its end', { htu: `${baseUrl}/me/` }, 'htu'],
    ['for the path with two slashes', { htu: `${baseUrl}//me` }, 'htu'],
    ['for the path by a detour', { htu: `${baseUrl}/x/../me` }, 'htu'],
    ['for the path by a hidden detour', { htu: `${baseUrl}/%2E/me` }, 'htu'],
    ['for the path with a parameter', { htu: `${baseUrl}/me;x` }, 'htu'],
    ['for the path with a broken encoding', { htu: `${baseUrl}/me%2` }, 'htu'],
    ['for the path encoded twice', { htu: `${baseUrl}/%256De` }, 'htu'],
    ['for the path after a backslash', { htu: `${baseUrl}\\me` }, 'htu'],
    ['for the path with a space', { htu: `${htu} ` }, 'htu'],
    ['for the path with a line break', { htu: `${baseUrl}/m\ne` }, 'htu'],
    ['for no path', { htu: baseUrl }, 'htu'],
    ['for http', { htu: 'http://api.example.com/me' }, 'htu'],
    ['for another scheme', { htu: 'wss://api.example.com/me' }, 'htu'],
    ['for another host', { htu: 'https://evil.example/me' }, 'htu'],
    ['for a host that begins so', { htu: 'https://api.example.com.evil.example/me' }, 'htu'],
    ['for a host that ends so', { htu: 'https://evil.api.example.com/me' }, 'htu'],
    ['for a user at the host', { htu: 'https://x@api.example.com/me' }, 'htu'],
    ['for the host as a user', { htu: 'https://api.example.com@evil.example/me' }, 'htu'],
    ['for another port', { htu: 'https://api.example.com:8443/me' }, 'htu'],
    ['for the port of http', { htu: 'https://api.example.com:80/me' }, 'htu'],
    ['for a path alone', { htu: '/me' }, 'htu'],
    ['for a list of URLs', { htu: [htu] }, 'htu'],
    ['for no URL', { htu: undefined }, 'htu'],
    ['too old', { iat: seconds() - 100 }, 'iat'],
    ['of the future', { iat: seconds() + 3600 }, 'iat'],
    ['in milliseconds', { iat: Date.now() }, 'iat'],
    ['with a time as text', { iat: String(seconds()) }, 'iat'],
    ['with no number for its time', { iat: null }, 'iat'],
    ['without a time', { iat: undefined }, 'iat'],
    ['over', { exp: seconds() - 60 }, 'exp'],
    ['with an end that is no time', { exp: 'never' }, 'exp'],
    ['not good yet', { nbf: seconds() + 3600 }, 'nbf'],
    ['without a name', { jti: undefined }, 'jti'],
    ['with an empty name', { jti: '' }, 'jti'],
    ['with a number for a name', { jti: 7 }, 'jti'],
    ['with a name too long', { jti: 'j'.repeat(257) }, 'jti'],
    ['without the token’s digest', { ath: undefined }, 'ath'],
    ['with an empty digest', { ath: '' }, 'ath'],
    ['with the digest of another token', { ath: digest('another') }, 'ath'],
  ]

  test.each(claims)('T101 %s is refused', async (_what, changes, reason) => {
    const { present, proof } = await scene()
    expect(await present(proof(changes))).toBe(invalid(reason))
  })

  test('T101 with the token’s digest in other letters is refused', async () => {
    const { present, proof, token } = await scene()
    const hex = Buffer.from(digest(token), 'base64url').toString('hex')
    for (const ath of [hex, `${digest(token)}=`, digest(token).toLowerCase(), [digest(token)]])
      expect(await present(proof({ ath }))).toBe(invalid('ath'))
  })

  const privateJwk = key.privateKey.export({ format: 'jwk' })
  const headers: [what: string, header: Members, reason: string][] = [
    ['without a type', { typ: undefined }, 'typ'],
    ['of the type JWT', { typ: 'JWT' }, 'typ'],
    ['of the type of access tokens', { typ: 'at+jwt' }, 'typ'],
    ['with its type in capitals', { typ: 'DPoP+JWT' }, 'typ'],
    ['with the long form of its type', { typ: 'application/dpop+jwt' }, 'typ'],
    ['without an algorithm', { alg: undefined }, 'algorithm'],
    ['of the algorithm none', { alg: 'none' }, 'algorithm'],
    ['of a symmetric algorithm', { alg: 'HS256' }, 'algorithm'],
    ['of an algorithm for another key', { alg: 'RS256' }, 'jwk'],
    ['of an algorithm for another curve', { alg: 'ES384' }, 'jwk'],
    ['of an algorithm for another kind of curve', { alg: 'Ed25519' }, 'jwk'],
    ['without its key', { jwk: undefined }, 'jwk'],
    ['with the name of a key', { jwk: undefined, kid: key.thumbprint }, 'jwk'],
    ['with a URL of keys', { jwk: undefined, jku: 'https://evil.example/keys' }, 'jwk'],
    ['with nothing for a key', { jwk: null }, 'jwk'],
    ['with a text for a key', { jwk: 'key' }, 'jwk'],
    ['with a list of keys', { jwk: [key.publicJwk] }, 'jwk'],
    ['with half a key', { jwk: { ...key.publicJwk, y: undefined } }, 'jwk'],
    ['with a key without its kind', { jwk: { ...key.publicJwk, kty: undefined } }, 'jwk'],
    ['with a number for a coordinate', { jwk: { ...key.publicJwk, x: 7 } }, 'jwk'],
    ['with its private key', { jwk: privateJwk }, 'private_key'],
    ['with an empty private key', { jwk: { ...key.publicJwk, d: '' } }, 'private_key'],
    ['with an extension that must be understood', { crit: ['b64'], b64: false }, 'crit'],
  ]

  test.each(headers)('T101 %s is refused', async (_what, changes, reason) => {
    const { present, proof } = await scene()
    expect(await present(proof({}, changes))).toBe(invalid(reason))
  })

  test('T101 of an algorithm that is not accepted here is refused', async () => {
    const { present, proof } = await scene({ algorithms: ['ES384', 'RS256'] })
    expect(await present(proof())).toBe(invalid('algorithm'))
  })

  const symmetric = { kty: 'oct', k: randomBytes(32).toString('base64url') }
  const longExponent = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 1]).toString('base64url')
  const keys: [what: string, by: ProofKey, jwk: Members, reason: string][] = [
    ['an RSA key with 1 024 bits', weak, weak.publicJwk, 'key_size'],
    [
      'an RSA key with 2 048 bits, most of them zero',
      weak,
      { ...weak.publicJwk, n: paddedModulus(weak) },
      'key_size',
    ],
    ['an RSA key with an exponent that takes long', rsa, { ...rsa.publicJwk, e: longExponent }, 'key_size'],
    ['an RSA key without an exponent', rsa, { ...rsa.publicJwk, e: undefined }, 'jwk'],
    ['a key of another curve', key, { ...key.publicJwk, crv: 'P-384' }, 'jwk'],
    ['a symmetric key', key, symmetric, 'private_key'],
  ]

  test.each(keys)(
    'T101 by %s is refused, though the token is bound to it',
    async (_what, by, jwk, reason) => {
      const { verdict, tokenWith } = await scene()
      const token = tokenWith({ cnf: { jkt: thumbprintOf(jwk) } })
      const proof = proofFor({ htu, token }, by, {}, { jwk })
      expect(await verdict({ headers: ['authorization', `DPoP ${token}`, 'dpop', proof] })).toBe(
        invalid(reason),
      )
    },
  )

  const signatures: [what: string, signer: (input: string) => Buffer, verdict: string][] = [
    ['by somebody else', stranger.signer, invalid('signature')],
    ['over something else', () => key.signer('something else'), invalid('signature')],
    ['in another form', (input) => sign('sha256', Buffer.from(input), key.privateKey), invalid('signature')],
    ['of zeros', () => Buffer.alloc(64), invalid('signature')],
    ['with the public key for a secret', hmac('sha256', key.thumbprint), invalid('signature')],
    ['by nobody', unsigned, invalid('encoding')],
  ]

  test.each(signatures)('T101 signed %s is refused', async (_what, signer, verdict) => {
    const { present, proof } = await scene()
    expect(await present(proof({}, {}, signer))).toBe(verdict)
  })

  test('T101 by another key than the token’s is refused', async () => {
    const { present, proof } = await scene()
    expect(await present(proof({}, {}, undefined, stranger))).toBe(refused('key_binding'))
    // Neither by the right name for the wrong key, nor by the right key under a signature of the wrong one.
    const named = { ...stranger.publicJwk, kid: key.thumbprint, jkt: key.thumbprint }
    expect(await present(proof({}, { jwk: named }, stranger.signer))).toBe(refused('key_binding'))
  })

  const wire: [what: string, send: (proof: MakeProof) => string[], verdict: string][] = [
    ['missing', () => [], invalid('missing')],
    ['empty', () => ['dpop', ''], invalid('missing')],
    ['there twice', (proof) => ['dpop', proof(), 'DPoP', proof()], invalid('repeated_header')],
    ['there twice, once empty', (proof) => ['dpop', proof(), 'dpop', ''], invalid('repeated_header')],
    ['one of a list', (proof) => ['dpop', `${proof()}, x`], invalid('repeated_header')],
    ['no JWT', () => ['dpop', 'proof'], invalid('not_a_jwt')],
    ['no JSON', () => ['dpop', 'e30.eA.eA'], invalid('not_a_jwt')],
    ['encrypted', () => ['dpop', 'a.b.c.d.e'], invalid('encrypted')],
    ['padded', (proof) => ['dpop', `${proof()}=`], invalid('encoding')],
    ['quoted', (proof) => ['dpop', `"${proof()}"`], invalid('encoding')],
    ['too long', (proof) => ['dpop', proof({ more: 'x'.repeat(8000) })], invalid('header_too_long')],
    ['in another header', (proof) => ['x-dpop', proof()], invalid('missing')],
    [
      'the access token itself',
      () => ['dpop', compactJws({ alg: 'ES256', typ: 'at+jwt' }, {}, key.signer)],
      invalid('typ'),
    ],
  ]

  test.each(wire)('T101 %s is refused', async (_what, send, verdict) => {
    const { present, proof } = await scene()
    expect(await present(undefined, { headers: send(proof) })).toBe(verdict)
  })

  test('T101 for where proxies and clients say that the server is', async () => {
    const { api, present, proof } = await scene()
    const { host } = new URL(api.url)
    const forged = [
      'x-forwarded-host',
      'evil.example',
      'x-forwarded-proto',
      'https',
      'forwarded',
      'host=evil',
    ]
    for (const url of [`http://${host}/me`, `https://${host}/me`, 'https://evil.example/me'])
      expect(await present(proof({ htu: url }), { headers: forged })).toBe(invalid('htu'))
    expect(await present(proof(), { headers: forged })).toBe('200')
  })

  test.each(['/x/../me', '/./me', '/%2e%2E/me', 'http://evil.example/me', `${baseUrl}/me`])(
    'T101 for a request to %s, which servers read in different ways',
    async (path) => {
      const { present, proof } = await scene({}, {}, { routes: anywhere })
      for (const url of [htu, baseUrl + path, path, `${baseUrl}/x/../me`])
        expect(await present(proof({ htu: url }), { path })).toBe(invalid('htu'))
    },
  )
})

function paddedModulus({ publicJwk }: ProofKey): string {
  return Buffer.concat([Buffer.alloc(128), Buffer.from(publicJwk.n ?? '', 'base64url')]).toString('base64url')
}

describe('T101 the scheme', () => {
  test('T101 Bearer with a bound token is a downgrade, with or without a proof', async () => {
    const { verdict, token, proof } = await scene()
    const bearer = ['authorization', `Bearer ${token}`]
    expect(await verdict({ headers: bearer })).toBe(refused('dpop_required'))
    expect(await verdict({ headers: [...bearer, 'dpop', proof()] })).toBe(refused('dpop_required'))
  })

  test('T101 Bearer with a bound token is a downgrade, also when that token has got in', async () => {
    const { present, verdict, token, proof } = await scene()
    expect(await present(proof())).toBe('200')
    expect(await verdict({ headers: ['authorization', `Bearer ${token}`] })).toBe(refused('dpop_required'))
    expect(await present(undefined)).toBe(invalid('missing'))
  })

  test('T101 DPoP with a token that is not bound is refused, before it got in as Bearer and after', async () => {
    const { verdict, tokenWith } = await scene()
    const token = tokenWith({})
    const dpop = ['authorization', `DPoP ${token}`, 'dpop', proofFor({ htu, token }, key)]
    expect(await verdict({ headers: dpop })).toBe(refused('not_bound'))
    expect(await verdict({ headers: ['authorization', `Bearer ${token}`] })).toBe('200')
    expect(await verdict({ headers: dpop })).toBe(refused('not_bound'))
  })

  test('T101 Bearer with a token that is not bound needs no proof, and a bad one is passed over', async () => {
    const { verdict, tokenWith } = await scene()
    const bearer = ['authorization', `Bearer ${tokenWith({})}`]
    expect(await verdict({ headers: bearer })).toBe('200')
    expect(await verdict({ headers: [...bearer, 'dpop', 'junk'] })).toBe('200')
  })

  test('T101 where DPoP is required, a token that is not bound is refused', async () => {
    const { verdict, present, tokenWith, proof } = await scene({ required: true })
    const bearer = ['authorization', `Bearer ${tokenWith({})}`]
    expect(await verdict({ headers: bearer })).toBe(refused('not_bound'))
    expect(await verdict({ headers: bearer })).toBe(refused('not_bound'))
    expect(await present(proof())).toBe('200')
  })

  test('T101 without the option, DPoP is another scheme and a bound token refused', async () => {
    const { api, issuer } = await guardedApi()
    const token = issuer.token({ cnf: { jkt: key.thumbprint } })
    const headers = ['authorization', `DPoP ${token}`, 'dpop', proofFor({ htu, token }, key)]
    expect(await api.send({ headers })).toMatchObject({ status: 401, challenge: 'Bearer' })
    expect(await api.verdict(token)).toBe('401 sender_constrained')
  })

  test('T101 without the option, whoever presents a token by DPoP is not taken for nobody', async () => {
    const { api, issuer } = await guardedApi({
      options: { mode: 'optional' },
      routes: (app, guard) => app.use(guard).get('/me', (_req, res) => void res.send('open')),
    })
    const headers = ['authorization', `DPoP ${issuer.token()}`]
    expect(await api.send({ headers })).toMatchObject({ status: 401, challenge: 'Bearer' })
    expect((await api.send({})).status).toBe(200)
    expect((await api.send({ headers: ['authorization', 'Basic eDp5'] })).status).toBe(200)
  })

  const jkt = key.thumbprint
  test.each<[string, unknown]>([
    ['a list', [jkt]],
    ['a text', jkt],
    ['nothing', null],
    ['an empty object', {}],
    ['a key itself', { jwk: key.publicJwk }],
    ['an encrypted key', { jwe: 'x' }],
    ['the name of a key', { kid: 'x' }],
    ['a URL of keys', { jku: 'https://auth.example.com/keys' }],
    ['a key and something unknown', { jkt, kid: 'x' }],
    ['a key and something unheard of', JSON.parse(`{ "jkt": "${jkt}", "__proto__": {} }`)],
    ['a thumbprint that is too short', { jkt: jkt.slice(1) }],
    ['a thumbprint with its padding', { jkt: `${jkt}=` }],
    ['a list of thumbprints', { jkt: [jkt] }],
    ['an empty thumbprint', { jkt: '' }],
    ['no thumbprint', { jkt: null }],
    ['a certificate that is no text', { jkt, 'x5t#S256': 7 }],
  ])('T101 a token whose cnf is %s is refused', async (_what, cnf) => {
    const { verdict, tokenWith } = await scene({}, { mtls: true })
    const token = tokenWith({ cnf })
    const headers = (scheme: string) => ['authorization', `${scheme} ${token}`]
    const dpop = ['dpop', proofFor({ htu, token }, key)]
    expect(await verdict({ headers: [...headers('DPoP'), ...dpop] })).toBe(refused('confirmation'))
    expect(await verdict({ headers: headers('Bearer') })).toBe(refused('confirmation'))
  })
})

describe('T101 a proof is used once', () => {
  test('T101 also in other letters, also at the same time', async () => {
    const { present, proof } = await scene()
    const one = proof()
    const all = await Promise.all(Array.from({ length: 10 }, () => present(one)))
    expect(all.map((verdict) => verdict.slice(0, 3)).toSorted()).toEqual([
      '200',
      ...Array<string>(9).fill('401'),
    ])
    expect(await present(one)).toBe(invalid('replayed'))
    expect(await present(twin(one))).toBe(invalid('replayed'))
  })

  test('T101 for as long as it would be good, and then it is too old', async () => {
    travel(0)
    const { present, proof } = await scene()
    const one = proof({ iat: seconds() + 30 }) // by a clock that is ahead
    expect(await present(one)).toBe('200')
    for (const pause of [1, 59, 55]) {
      travel(pause)
      expect(await present(one)).toBe(invalid('replayed'))
    }
    travel(10)
    expect(await present(one)).toBe(invalid('iat'))
  })

  test('T101 but its name is free for others, and for other URLs', async () => {
    const { api, present, proof, tokenWith } = await scene({}, {}, { routes: anywhere })
    const jti = 'the same'
    expect(await present(proof({ jti }))).toBe('200')
    expect(await present(proof({ jti, htu: `${baseUrl}/x` }), { path: '/x' })).toBe('200')
    const token = tokenWith({ cnf: { jkt: stranger.thumbprint } })
    const headers = ['authorization', `DPoP ${token}`, 'dpop', proofFor({ htu, token }, stranger, { jti })]
    expect((await api.send({ headers })).status).toBe(200)
  })

  test('T101 a proof that was refused is not used', async () => {
    const { api, present, proof } = await scene()
    const one = proof()
    expect((await api.send({ path: '/projects', headers: [] })).status).toBe(401)
    expect(await present(one, { method: 'POST' })).toBe(invalid('htm'))
    expect(await present(one)).toBe('200')
  })

  test('T101 on all instances with one store', async () => {
    const store = memoryStore({ whenFull: 'refuse' })
    const issuer = await startIssuer()
    const options = { options: { dpop: { baseUrl, store } } }
    const [a, b] = [await startApi(issuer, options), await startApi(issuer, options)]
    const [first, second] = [a, b].map((api) => sceneOf(api, (claims) => issuer.token(claims)))
    const one = first?.proof()
    expect(await first?.present(one)).toBe('200')
    expect(
      await second?.verdict({ headers: ['authorization', `DPoP ${first?.token}`, 'dpop', one ?? ''] }),
    ).toBe(invalid('replayed'))
  })
})

needProgram('redis-server', hasRedis)

test.runIf(hasRedis)('T101 a proof is used once on all instances that share a Redis', async () => {
  const redis = await startRedis()
  const clients = await Promise.all([1, 2].map(async () => createClient({ url: redis.url }).connect()))
  onTestFinished(async () => {
    for (const client of clients) client.destroy()
    await redis.stop()
  })
  const issuer = await startIssuer()
  const apis = await Promise.all(
    clients.map((client) => startApi(issuer, { options: { dpop: { baseUrl, store: redisStore(client) } } })),
  )
  const token = issuer.token({ cnf: { jkt: key.thumbprint } })
  const headers = ['authorization', `DPoP ${token}`, 'dpop', proofFor({ htu, token }, key)]
  const statuses = await Promise.all(
    [...apis, ...apis, ...apis].map(async (api) => (await api.send({ headers })).status),
  )
  expect(statuses.filter((status) => status === 200)).toHaveLength(1)
  expect(statuses.filter((status) => status === 401)).toHaveLength(5)
})

/** The same signature in its other form: for each (r, s), (r, n - s) is good, too. */
function twin(proof: string): string {
  const order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
  const [header, payload, signature = ''] = proof.split('.')
  const bytes = Buffer.from(signature, 'base64url')
  const s = order - BigInt(`0x${bytes.subarray(32).toString('hex')}`)
  const other = Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')])
  return `${header}.${payload}.${other.toString('base64url')}`
}

describe('T102 the memory of used proofs', () => {
  test('T102 takes up no junk', async () => {
    const { store, calls } = breakableStore()
    const { present, proof, verdict, token } = await scene({ store, nonceSecrets: secrets })
    const bad = [
      proof({}, {}, stranger.signer),
      proof({ ath: 'x' }),
      proof({}, { jwk: stranger.publicJwk }),
      'junk',
    ]
    for (const one of [...bad, proof(), proof({ nonce: 'x' })]) expect(await present(one)).toMatch(/^401/)
    expect(await verdict({ headers: ['authorization', `DPoP ${token}x`, 'dpop', proof()] })).toMatch(/^401/)
    expect(calls).toEqual([])
  })

  test('T102 has names of one length that tell nothing', async () => {
    const { store, calls } = breakableStore()
    const { present, proof } = await scene({ store })
    await present(proof({ jti: 'a' }))
    await present(proof({ jti: '\u0000'.repeat(256) }))
    expect(calls).toHaveLength(2)
    for (const call of calls) expect(call).toMatch(/^add dpop:used:token:[\w-]{43}$/)
  })

  test('T102 that is full lets nobody in', async () => {
    travel(0)
    const { present, proof } = await scene({ store: memoryStore({ maxEntries: 3, whenFull: 'refuse' }) })
    const first = proof()
    for (const one of [first, proof(), proof()]) expect(await present(one)).toBe('200')
    for (let n = 0; n < 3; n++) expect(await present(proof())).toBe('503 store_unavailable')
    expect(await present(first)).toBe(invalid('replayed'))
    travel(130)
    expect(await present(proof())).toBe('200')
  })

  test('T102 that is away lets nobody in', async () => {
    const { store, breaks } = breakableStore()
    const { api, present, proof, token } = await scene({ store })
    breaks(() => true)
    expect(await present(proof())).toBe('503 store_unavailable')
    breaks(() => false)
    const hanging = { ...store, add: () => new Promise<never>(() => {}) }
    const slow = await scene({ store: hanging, storeTimeout: 0.1 })
    expect(await slow.present(slow.proof())).toBe('503 store_unavailable')
    breaks(() => true)
    const headers = ['authorization', `DPoP ${token}`, 'dpop', proof()]
    const answer = await api.send({ headers })
    expect(answer).toMatchObject({ status: 503, challenge: undefined, headers: { 'retry-after': '5' } })
  })

  test('T102 must be one that does not forget', () => {
    const options = { issuer: 'https://auth.example.com', audience }
    const make = (dpop: DPoPOptions) => () => oauthBearer({ ...options, dpop })
    expect(make({ baseUrl, store: memoryStore() })).toThrow('"dpop.store" is a memoryStore that forgets')
    expect(make({ baseUrl, store: memoryStore({ whenFull: 'refuse' }) })).not.toThrow()
  })

  test('T102 of more proofs than it may have stays as large as it is', async () => {
    const store = memoryStore({ maxEntries: 50_000, whenFull: 'refuse' })
    const before = process.memoryUsage.rss()
    let kept = 0
    for (let n = 0; n < 100_000; n++) {
      const name = `dpop:used:token:${String(n).padStart(43, '0')}`
      const isKept = await store.add(name, '1', 120).catch(() => false)
      if (isKept) kept += 1
    }
    expect(kept).toBe(50_000)
    expect((process.memoryUsage.rss() - before) / 2 ** 20).toBeLessThan(100)
  })
})

describe('nonces', () => {
  const withNonces = { nonceSecrets: secrets }
  const nonceIn = ({ headers }: { headers: Record<string, unknown> }) => String(headers['dpop-nonce'])
  const dpop = ({ token }: Scene, proof: string) => ['authorization', `DPoP ${token}`, 'dpop', proof]

  async function firstNonce(one: Scene): Promise<string> {
    return nonceIn(await one.api.send({ headers: dpop(one, one.proof()) }))
  }

  test('a proof without one is told which to use, and then it opens', async () => {
    const one = await scene(withNonces)
    const answer = await one.api.send({ headers: dpop(one, one.proof()) })
    expect(answer.status).toBe(401)
    expect(answer.challenge).toMatch(
      /^Bearer, DPoP algs="[^"]+", error="use_dpop_nonce", error_description="/,
    )
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(JSON.parse(answer.body)).toMatchObject({ error: 'use_dpop_nonce' })
    const nonce = nonceIn(answer)
    expect(nonce).toMatch(/^[\x21\x23-\x5b\x5d-\x7e]{20,200}$/)
    const good = await one.api.send({ headers: dpop(one, one.proof({ nonce })) })
    expect([good.status, good.headers['dpop-nonce']]).toEqual([200, undefined])
  })

  test('one is told also where a request without one passes as nobody', async () => {
    const one = await scene(
      withNonces,
      { mode: 'attempt' },
      {
        routes: (app, guard) => app.use(guard).get('/me', (req, res) => void res.json(req.auth ?? 'nobody')),
      },
    )
    const answer = await one.api.send({ headers: dpop(one, one.proof()) })
    expect(answer).toMatchObject({ status: 200, body: '"nobody"' })
    expect(answer.headers['cache-control']).toBe('no-store')
    const good = await one.api.send({ headers: dpop(one, one.proof({ nonce: nonceIn(answer) })) })
    expect(JSON.parse(good.body)).toMatchObject({ kind: 'bearer', subject: 'user-1' })
  })

  test.each<[string, (nonce: string) => unknown, string]>([
    ['missing', () => undefined, 'nonce_missing'],
    ['no text', () => 7, 'nonce_missing'],
    ['empty', () => '', 'nonce'],
    ['made up', () => randomBytes(32).toString('base64url'), 'nonce'],
    ['cut', (nonce) => nonce.slice(0, -1), 'nonce'],
    ['changed', (nonce) => nonce.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')), 'nonce'],
    ['longer', (nonce) => `${nonce}A`, 'nonce'],
    ['a time', () => String(seconds()), 'nonce'],
  ])('one that is %s is refused', async (_what, change, reason) => {
    const one = await scene(withNonces)
    const nonce = change(await firstNonce(one))
    expect(await one.present(one.proof({ nonce }))).toBe(`401 use_dpop_nonce ${reason}`)
  })

  test('one is good for five minutes, and replaced when half of them are over', async () => {
    travel(0)
    const { api, tokenWith } = await scene(withNonces, { clockTolerance: 0 })
    const one = sceneOf(api, (claims) => tokenWith({ exp: seconds() + 3600, ...claims }))
    const send = async (nonce: string) => api.send({ headers: dpop(one, one.proof({ nonce })) })
    const nonce = await firstNonce(one)
    travel(150)
    expect((await send(nonce)).headers['dpop-nonce']).toBeUndefined()
    travel(1)
    const late = await send(nonce)
    expect([late.status, late.headers['cache-control']]).toEqual([200, 'no-store'])
    expect((await send(nonceIn(late))).status).toBe(200)
    travel(148)
    expect((await send(nonce)).status).toBe(200)
    travel(1)
    expect((await send(nonce)).status).toBe(401)
    expect((await send(nonceIn(late))).status).toBe(200)
  })

  test('one of another instance is good, of another server or secret not', async () => {
    const issuer = await startIssuer()
    const other = [randomBytes(32).toString('base64url')]
    const instance = async (options: Partial<DPoPOptions>) => {
      const api = await startApi(issuer, { options: { dpop: { baseUrl, ...options } } })
      return sceneOf(api, (claims) => issuer.token(claims))
    }
    const nonce = await firstNonce(await instance(withNonces))
    const status = async (one: Scene) => (await one.present(one.proof({ nonce }))).slice(0, 3)
    expect(await status(await instance(withNonces))).toBe('200')
    expect(await status(await instance({ nonceSecrets: [...other, ...secrets] }))).toBe('200')
    expect(await status(await instance({ nonceSecrets: other }))).toBe('401')
    const elsewhere = await instance({ nonceSecrets: secrets, baseUrl: 'https://staging.example.com' })
    const proof = elsewhere.proof({ nonce, htu: 'https://staging.example.com/me' })
    expect(await elsewhere.present(proof)).toBe('401 use_dpop_nonce nonce')
  })

  test('reach the app’s own error handler, and what it answers', async () => {
    const one = await scene(withNonces, { onError: 'next' })
    const answer = await one.api.send({ headers: dpop(one, one.proof()) })
    expect(answer.body).toBe('the application had an error')
    expect(one.api.errors).toMatchObject([
      { code: 'use_dpop_nonce', headers: { 'dpop-nonce': nonceIn(answer) } },
    ])
    expect(await one.present(one.proof({ nonce: nonceIn(answer) }))).toBe('200')
  })

  test('do not take the place of what the app says about caches', async () => {
    travel(0)
    const one = await scene(
      withNonces,
      {},
      {
        before: (app) =>
          app.use((_req, res, next) => {
            res.setHeader('cache-control', 'private')
            next()
          }),
      },
    )
    const nonce = await firstNonce(one)
    travel(200)
    const { headers } = await one.api.send({ headers: dpop(one, one.proof({ nonce })) })
    expect([typeof headers['dpop-nonce'], headers['cache-control']]).toEqual(['string', 'private'])
  })
})

describe('T100 challenges, where DPoP is taken', () => {
  const algs = 'algs="ES256"'
  const options = { algorithms: ['ES256'] } as const
  const description = 'error_description="The access token is not valid"'

  test('T100 all schemes for a client without credentials, without an error', async () => {
    const { api } = await scene(options)
    expect((await api.send({})).challenge).toBe(`Bearer, DPoP ${algs}`)
  })

  test('T100 one header for each, Bearer first', async () => {
    const { api } = await scene(options, { realm: 'projects' })
    const lines = await new Promise((resolve, reject) => {
      httpRequest(api.url, ({ headersDistinct }) => resolve(headersDistinct['www-authenticate']))
        .on('error', reject)
        .end()
    })
    expect(lines).toEqual(['Bearer realm="projects"', `DPoP ${algs}`])
  })

  test.each<[string, (one: Scene) => string[], string]>([
    [
      'a bad Bearer token',
      ({ tokenWith }) => ['authorization', `Bearer ${tokenWith({ aud: 'x' })}`],
      `Bearer error="invalid_token", ${description}, DPoP ${algs}`,
    ],
    [
      'a bound token as Bearer',
      ({ token }) => ['authorization', `Bearer ${token}`],
      `Bearer error="invalid_token", ${description}, DPoP ${algs}`,
    ],
    [
      'a bad token as DPoP',
      ({ tokenWith }) => ['authorization', `DPoP ${tokenWith({ aud: 'x' })}`],
      `Bearer, DPoP ${algs}, error="invalid_token", ${description}`,
    ],
    [
      'no proof',
      ({ token }) => ['authorization', `DPoP ${token}`],
      `Bearer, DPoP ${algs}, error="invalid_dpop_proof", error_description="The DPoP proof is not valid"`,
    ],
    [
      'another key',
      ({ token }) => ['authorization', `DPoP ${token}`, 'dpop', proofFor({ htu, token }, stranger)],
      `Bearer, DPoP ${algs}, error="invalid_token", ${description}`,
    ],
    [
      'a malformed header',
      () => ['authorization', 'DPoP a b'],
      `DPoP ${algs}, error="invalid_request", error_description="The Authorization header is malformed"`,
    ],
  ])('T100 %s', async (_what, headers, challenge) => {
    const one = await scene(options)
    const answer = await one.api.send({ headers: headers(one) })
    expect(answer.challenge).toBe(challenge)
    expect(answer.body + everythingIn(answer.headers)).not.toContain(one.token.slice(-20))
  })

  test('T100 a scope that a bound token lacks is told in its own scheme', async () => {
    const one = await scene(options)
    const proof = one.proof({ htu: `${baseUrl}/both` })
    const answer = await one.api.send({
      path: '/both',
      headers: ['authorization', `DPoP ${one.token}`, 'dpop', proof],
    })
    expect(answer.status).toBe(403)
    expect(answer.challenge).toBe(
      `DPoP ${algs}, error="insufficient_scope", scope="read:projects write:projects", error_description="More scope is needed than the access token has"`,
    )
  })

  test('no proof is in any event or error', async () => {
    const { api, present, proof } = await scene()
    const bad = proof({}, {}, stranger.signer)
    expect(await present(bad)).toBe(invalid('signature'))
    expect(everythingIn(api.events)).not.toContain(bad.slice(-40))
    expect(everythingIn(api.events)).not.toContain(bad.split('.')[1])
  })
})

describe('mutual TLS', () => {
  const pem = (name: string) => readFileSync(new URL(`certificates/${name}.pem`, import.meta.url), 'utf8')
  const certificate = new X509Certificate(pem('client'))
  const cnf = { 'x5t#S256': digest(certificate.raw) }
  const byHeader: VerifierOptions['mtls'] = {
    getCertificate: ({ headers }) => [headers['client-cert']].flat()[0],
  }

  /** An API that ends TLS itself, and a request to it with the certificate of this client, if any. */
  async function tlsApi(options: Partial<OAuthBearerOptions> = {}) {
    const issuer = await startIssuer()
    const app = projectRoutesOf(
      oauthBearer({ issuer: issuer.url, audience, mtls: true, ...options } as OAuthBearerOptions),
    )
    const server = createServer(
      { key: pem('server'), cert: pem('server'), requestCert: true, rejectUnauthorized: false },
      app,
    )
    const { port } = new URL(await listening(server))
    onTestFinished(() => stopped(server))
    const send = (client: string | undefined, headers: Record<string, string>, path = '/me') =>
      new Promise<number>((resolve, reject) => {
        const own = client === undefined ? {} : { key: pem(client), cert: pem(client) }
        const to = { port, path, headers, rejectUnauthorized: false, agent: false, ...own }
        httpsRequest(to, (response) => {
          response.resume()
          resolve(response.statusCode ?? 0)
        })
          .on('error', reject)
          .end()
      })
    const bearer = (claims: Members) => ({ authorization: `Bearer ${issuer.token(claims)}` })
    return { issuer, send, bearer }
  }

  test('T101 a token opens with its certificate and with no other', async () => {
    const { send, bearer } = await tlsApi()
    const bound = bearer({ cnf })
    expect(await send('client', bound)).toBe(200)
    expect(await send('stranger', bound)).toBe(401)
    expect(await send(undefined, bound)).toBe(401)
    expect(await send('client', bound)).toBe(200)
    expect(await send(undefined, bearer({}))).toBe(200)
    expect(await send('client', bearer({ cnf: { 'x5t#S256': digest('another') } }))).toBe(401)
  })

  test('T101 where it is required, a token without one is refused', async () => {
    const { send, bearer } = await tlsApi({ mtls: { required: true } })
    expect(await send('client', bearer({}))).toBe(401)
    expect(await send('client', bearer({ cnf }))).toBe(200)
  })

  test('T101 a header of the client is no certificate', async () => {
    const { send, bearer } = await tlsApi()
    const forged = { 'client-cert': `:${certificate.raw.toString('base64')}:` }
    expect(await send('stranger', { ...bearer({ cnf }), ...forged })).toBe(401)
  })

  test('T101 bound to a certificate and a key, it needs both', async () => {
    const { send, issuer } = await tlsApi({ dpop: { baseUrl } })
    const token = issuer.token({ cnf: { ...cnf, jkt: key.thumbprint } })
    const dpop = (by = key) => ({ authorization: `DPoP ${token}`, dpop: proofFor({ htu, token }, by) })
    expect(await send('client', dpop())).toBe(200)
    expect(await send('stranger', dpop())).toBe(401)
    expect(await send('client', dpop(stranger))).toBe(401)
    expect(await send('client', { authorization: `Bearer ${token}` })).toBe(401)
  })

  test('T101 bound to a certificate alone, it is no DPoP token', async () => {
    const { send, issuer } = await tlsApi({ dpop: { baseUrl } })
    const token = issuer.token({ cnf })
    const dpop = { authorization: `DPoP ${token}`, dpop: proofFor({ htu, token }, key) }
    expect(await send('client', dpop)).toBe(401)
  })

  test.each<[string, Partial<OAuthBearerOptions>]>([
    ['for certificates', { mtls: byHeader }],
    ['for keys', { dpop: { baseUrl } }],
  ])('T101 bound to both, it is refused where only the option %s is set', async (_what, options) => {
    const { api, issuer } = await guardedApi({ options })
    const token = issuer.token({ cnf: { ...cnf, jkt: key.thumbprint } })
    for (const scheme of ['Bearer', 'DPoP']) {
      const headers = ['authorization', `${scheme} ${token}`, 'dpop', proofFor({ htu, token }, key)]
      expect((await api.send({ headers: [...headers, 'client-cert', pemLine('client')] })).status).toBe(401)
    }
    expect(await api.verdict(token)).toBe('401 sender_constrained')
  })

  const pemLine = (name: string) => encodeURIComponent(pem(name))

  test.each<[string, unknown, string]>([
    ['DER', certificate.raw, '200'],
    ['PEM', certificate.toString(), '200'],
    ['DER in base64', certificate.raw.toString('base64'), '200'],
    ['a header of RFC 9440', `:${certificate.raw.toString('base64')}:`, '200'],
    ['a promise of it', Promise.resolve(certificate.raw), '200'],
    ['a header that came twice', `:${certificate.raw.toString('base64')}:, :AAAA:`, '401 certificate'],
    ['another one', new X509Certificate(pem('stranger')).raw, '401 certificate'],
    ['its thumbprint', cnf['x5t#S256'], '401 certificate'],
    ['nothing', undefined, '401 certificate_missing'],
    ['an empty text', '', '401 certificate_missing'],
    ['true', true, '401 certificate_missing'],
    ['a parsed certificate', { raw: certificate.raw }, '401 certificate_missing'],
  ])('T101 a proxy tells the certificate as %s', async (_what, told, verdict) => {
    const getCertificate = () => told as Buffer
    const { api, issuer } = await guardedApi({ options: { mtls: { getCertificate } } })
    expect(await api.verdict(issuer.token({ cnf }))).toBe(verdict)
    expect(await api.verdict(issuer.token({ cnf }))).toBe(verdict)
  })

  test('T101 without TLS there is no certificate', async () => {
    const { api, issuer } = await guardedApi({ options: { mtls: true } })
    expect(await api.verdict(issuer.token({ cnf }))).toBe('401 certificate_missing')
  })

  test.each([new TypeError('a mistake'), undefined, null, false, 0, 'route', 'router'])(
    'T101 a failure to get the certificate is an error of the app, be it %s',
    async (thrown: unknown) => {
      const options: Partial<OAuthBearerOptions> = {
        mtls: {
          getCertificate() {
            throw thrown
          },
        },
      }
      for (const framework of ['4', '5'] as const) {
        const { api, issuer } = await guardedApi({
          framework,
          options,
          routes: (app, guard) => app.use(guard).get('/me', (_req, res) => void res.send('open')),
        })
        expect((await api.present(issuer.token({ cnf }))).status).toBe(500)
        expect(api.errors).toEqual([expect.any(Error)])
      }
    },
  )
})

function projectRoutesOf(guard: ReturnType<typeof oauthBearer>) {
  const app = express().use(guard)
  projectRoutes(app)
  return app
}

describe('createVerifier', () => {
  async function verifier(options: Partial<VerifierOptions> = {}) {
    const issuer = await startIssuer()
    const { verify, authenticate } = createVerifier({
      issuer: issuer.url,
      audience,
      dpop: { baseUrl, nonceSecrets: secrets },
      ...options,
    } as VerifierOptions)
    return { issuer, verify, authenticate, token: issuer.token({ cnf: { jkt: key.thumbprint } }) }
  }

  test('takes a bound token with the request that proves it alone', async () => {
    const { verify, authenticate, token } = await verifier({ dpop: { baseUrl } })
    const bound = { code: 'invalid_token', reason: 'dpop_required' }
    await expect(verify(token)).rejects.toMatchObject(bound)
    const auth = await authenticate(
      upgrade({ authorization: `DPoP ${token}`, dpop: proofFor({ htu, token }, key) }),
    )
    expect(auth).toMatchObject({ subject: 'user-1', token })
    await expect(verify(token)).rejects.toMatchObject(bound)
  })

  test('takes no token that is bound to a certificate without a request', async () => {
    const { verify, issuer } = await verifier({ mtls: true })
    const token = issuer.token({ cnf: { 'x5t#S256': digest('a certificate') } })
    await expect(verify(token)).rejects.toMatchObject({ reason: 'sender_constrained' })
    await expect(verify(token)).rejects.toMatchObject({ reason: 'sender_constrained' })
    expect(await verify(issuer.token())).toMatchObject({ subject: 'user-1' })
  })

  test('gives the nonce with the error', async () => {
    const { authenticate, token } = await verifier()
    const headers = (claims: Members) => ({
      authorization: `DPoP ${token}`,
      dpop: proofFor({ htu, token }, key, claims),
    })
    const error: unknown = await authenticate(upgrade(headers({}))).catch((thrown: unknown) => thrown)
    const nonce = isOAuthError(error) && error.code === 'use_dpop_nonce' && error.headers['dpop-nonce']
    expect(nonce).toEqual(expect.any(String))
    expect(await authenticate(upgrade(headers({ nonce })))).toMatchObject({ subject: 'user-1' })
  })

  test('C8 whatever is in the DPoP header, it is refused with an error of ours', async () => {
    const { authenticate, token } = await verifier({ dpop: { baseUrl } })
    const opens = async (dpop: unknown) => {
      try {
        await authenticate(upgrade({ authorization: `DPoP ${token}`, dpop }))
        return true
      } catch (error) {
        if (!isOAuthError(error) || error.status !== 401) throw error
        return false
      }
    }
    const good = proofFor({ htu, token }, key)
    const [header = '', payload = '', signature = ''] = good.split('.')
    const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const names = fc.constantFrom(
      'alg',
      'typ',
      'jwk',
      'htm',
      'htu',
      'iat',
      'jti',
      'ath',
      'nonce',
      '__proto__',
      'crit',
    )
    const changed = (part: string) =>
      fc.tuple(names, fc.jsonValue()).map(([name, value]) => {
        const members = JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>
        return json(Object.fromEntries([...Object.entries(members), [name, value]]))
      })
    const proof = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(fc.oneof(fc.json().map(json), fc.string()), { maxLength: 4 }).map((parts) => parts.join('.')),
      changed(header).map((one) => [one, payload, signature].join('.')),
      changed(payload).map((one) => [header, one, signature].join('.')),
      fc
        .tuple(fc.nat(good.length - 1), fc.string({ minLength: 1, maxLength: 2 }))
        .map(([at, text]) => good.slice(0, at) + text + good.slice(at + 1)),
      fc.array(fc.string()),
    )
    await fc.assert(
      fc.asyncProperty(
        proof.filter((one) => one !== good),
        async (one) => {
          expect(await opens(one)).toBe(false)
        },
      ),
      { numRuns: 1_000 },
    )
    expect(await opens(good)).toBe(true)
  })
})

/** What asks for a WebSocket. */
function upgrade(headers: Record<string, unknown>): IncomingMessage {
  return Object.assign(new IncomingMessage(new Socket()), {
    headers,
    method: 'GET',
    url: '/me?room=1',
  })
}
