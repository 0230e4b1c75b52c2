/** Ways to let requests through by their access token: ours, those of others, and what any of them costs at least. */
import { createPublicKey } from 'node:crypto'
import type { RequestHandler } from 'express'
import { JwtVerifier } from 'aws-jwt-verify'
import { expressjwt, type GetVerificationKey } from 'express-jwt'
import { auth } from 'express-oauth2-jwt-bearer'
import { createVerifier } from 'fast-jwt'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { expressJwtSecret, passportJwtSecret } from 'jwks-rsa'
import passport from 'passport'
import { ExtractJwt, Strategy } from 'passport-jwt'
import { oauthBearer, requireScope } from '../dist/index.js'
import { audience, scope, type Algorithm } from './tokens.js'

/** What all of them are told. */
export interface Setting {
  readonly issuer: string
  readonly jwksUri: string
  readonly jwks: { readonly keys: Readonly<Record<string, unknown>>[] }
  readonly algorithm: Algorithm
}

export type Contestant = (setting: Setting) => RequestHandler[]

const bare: Contestant = () => []

/** Hands each request on: what any middleware costs. */
const passesOn: Contestant = () => [(_req, _res, next) => next()]

/** Looks up the header as it came and sets what it finds: a guard that remembers cannot do less. */
const floor: Contestant = () => {
  const known = new Map<string, object>()
  return [
    (req, _res, next) => {
      const header = req.headers.authorization ?? ''
      let found = known.get(header)
      if (!found) {
        found = { header }
        known.set(header, found)
      }
      ;(req as { auth?: unknown }).auth = found
      next()
    },
  ]
}

const ours =
  (rememberedTokens?: number): Contestant =>
  ({ issuer, jwksUri }) => [
    oauthBearer({ issuer, jwksUri, audience, ...(rememberedTokens !== undefined && { rememberedTokens }) }),
  ]

const oursWithScope: Contestant = (setting) => [...ours()(setting), requireScope(scope)]

const fastJwt =
  (cache: boolean | number): Contestant =>
  ({ issuer, jwks, algorithm }) => {
    const jwk = jwks.keys.find(({ alg }) => alg === algorithm) ?? {}
    const key = createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'pem', type: 'spki' })
    const verify = createVerifier({
      key: String(key),
      algorithms: [algorithm],
      allowedIss: issuer,
      allowedAud: audience,
      cache,
    })
    return [
      (req, res, next) => {
        try {
          ;(req as { auth?: unknown }).auth = verify((req.headers.authorization ?? '').slice(7)) as unknown
        } catch {
          res.status(401).json({ error: 'invalid_token' })
          return
        }
        next()
      },
    ]
  }

const awsJwtVerify: Contestant = ({ issuer, jwksUri, jwks }) => {
  const verifier = JwtVerifier.create({ issuer, audience, jwksUri })
  verifier.cacheJwks(jwks as unknown as Parameters<typeof verifier.cacheJwks>[0])
  return [
    (req, res, next) => {
      try {
        ;(req as { auth?: unknown }).auth = verifier.verifySync((req.headers.authorization ?? '').slice(7))
      } catch {
        res.status(401).json({ error: 'invalid_token' })
        return
      }
      next()
    },
  ]
}

const joseByHand: Contestant = ({ issuer, jwksUri, algorithm }) => {
  const keys = createRemoteJWKSet(new URL(jwksUri))
  return [
    (req, res, next) => {
      jwtVerify((req.headers.authorization ?? '').slice(7), keys, {
        issuer,
        audience,
        algorithms: [algorithm],
      })
        .then(
          ({ payload }) => {
            ;(req as { auth?: unknown }).auth = payload
            next()
          },
          () => void res.status(401).json({ error: 'invalid_token' }),
        )
        .catch(next)
    },
  ]
}

const expressOauth2JwtBearer: Contestant = ({ issuer, jwksUri, algorithm }) => [
  auth({ issuer, jwksUri, audience, tokenSigningAlg: algorithm }),
]

const expressJwt: Contestant = ({ issuer, jwksUri, algorithm }) => [
  expressjwt({
    secret: expressJwtSecret({ jwksUri, cache: true }) as GetVerificationKey,
    issuer,
    audience,
    algorithms: [algorithm as 'RS256'],
  }),
]

const passportJwt: Contestant = ({ issuer, jwksUri, algorithm }) => {
  const strategy = new Strategy(
    {
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      secretOrKeyProvider: passportJwtSecret({ jwksUri, cache: true }),
      issuer,
      audience,
      algorithms: [algorithm as 'RS256'],
    },
    (payload: object, done: (error: null, user: object) => void) => done(null, payload),
  )
  return [new passport.Passport().use(strategy).authenticate('jwt', { session: false }) as RequestHandler]
}

export const contestants: Readonly<Record<string, Contestant>> = {
  'bare Express': bare,
  'bare Express again': bare,
  'passes on': passesOn,
  floor,
  oauthBearer: ours(),
  'oauthBearer + requireScope': oursWithScope,
  'oauthBearer, rememberedTokens: 0': ours(0),
  'fast-jwt, cache of 20 000': fastJwt(20_000),
  'fast-jwt, default cache': fastJwt(true),
  'fast-jwt, no cache': fastJwt(false),
  'aws-jwt-verify': awsJwtVerify,
  'jose by hand': joseByHand,
  'express-oauth2-jwt-bearer': expressOauth2JwtBearer,
  'express-jwt + jwks-rsa': expressJwt,
  'passport-jwt + jwks-rsa': passportJwt,
}

/** Those that verify signatures with Ed25519; jsonwebtoken, which two of them stand on, does not. */
export const withoutEdDsa: readonly string[] = ['express-jwt + jwks-rsa', 'passport-jwt + jwks-rsa']
