/** Our guard and others that check the same tokens, each as its documentation says, behind one shape. */
import { createPublicKey, type JsonWebKeyInput } from 'node:crypto'
import { createRequire } from 'node:module'
import express, {
  type Request as ExpressRequest,
  type RequestHandler,
  type Response as ExpressResponse,
} from 'express'
import { createVerifier, isOAuthError } from 'express-oauth-kit'
import { createVerifier as createFastVerifier } from 'fast-jwt'
import { createRemoteJWKSet, errors, jwtVerify, type JWTVerifyOptions } from 'jose'
import * as oauth from 'oauth4webapi'
import { audience } from './draft.js'

/** Its types are left alone: they give all requests of Express an `auth` of theirs. */
const { auth } = createRequire(import.meta.url)('express-oauth2-jwt-bearer') as {
  auth: (options: VerifierOptions & { audience: string }) => RequestHandler
}

export interface Verdict {
  /** What the token says, to those who accept it. */
  readonly claims?: object
  /** Why it is refused; nothing says that it is accepted. */
  readonly refusal?: string
  /** Something that is no verdict. */
  readonly failure?: unknown
}

export type Verifier = (token: string) => Promise<Verdict>

export const peers = ['jose', 'oauth4webapi', 'express-oauth2-jwt-bearer', 'fast-jwt'] as const

export type Peer = (typeof peers)[number]

export interface VerifierOptions {
  readonly issuer: string
  readonly jwksUri: string
  /** Seconds. */
  readonly clockTolerance: number
}

const algorithms = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA'] as const),
]

export function ours(options: VerifierOptions, rememberedTokens: number): Verifier {
  const verifier = createVerifier({ ...options, audience, rememberedTokens })
  return async (token) => {
    try {
      return { claims: (await verifier.verify(token)).claims }
    } catch (error) {
      const isRefusal = isOAuthError(error) && error.code === 'invalid_token' && error.reason !== undefined
      return isRefusal ? { refusal: error.reason ?? '' } : { refusal: 'failure', failure: error }
    }
  }
}

export async function peerVerifiers(options: VerifierOptions): Promise<Record<Peer, Verifier>> {
  return {
    jose: refusingOnError(joseVerifier(options)),
    oauth4webapi: refusingOnError(oauth4webapiVerifier(options)),
    'express-oauth2-jwt-bearer': refusingOnError(expressVerifier(options)),
    'fast-jwt': refusingOnError(await fastVerifier(options)),
  }
}

/** Of others any error is a refusal: they throw many. */
function refusingOnError(verify: (token: string) => Promise<object>): Verifier {
  return async (token) => {
    try {
      return { claims: await verify(token) }
    } catch (error) {
      return { refusal: error instanceof Error ? error.message : String(error) }
    }
  }
}

function joseVerifier({ issuer, jwksUri, clockTolerance }: VerifierOptions) {
  const keys = createRemoteJWKSet(new URL(jwksUri))
  const options: JWTVerifyOptions = {
    issuer,
    audience,
    clockTolerance,
    algorithms: [...algorithms, 'Ed25519'],
  }
  return async (token: string): Promise<object> => {
    try {
      return (await jwtVerify(token, keys, options)).payload
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
      // What its documentation advises where tokens need not name their key.
      for await (const key of error) {
        try {
          return (await jwtVerify(token, key, options)).payload
        } catch (failure) {
          if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure
        }
      }
      throw error
    }
  }
}

function oauth4webapiVerifier({ issuer, jwksUri, clockTolerance }: VerifierOptions) {
  const server: oauth.AuthorizationServer = { issuer, jwks_uri: jwksUri }
  return async (token: string): Promise<object> => {
    const request = new Request('https://api.example.com/', { headers: { authorization: `Bearer ${token}` } })
    return oauth.validateJwtAccessToken(server, request, audience, {
      [oauth.allowInsecureRequests]: true,
      [oauth.clockTolerance]: clockTolerance,
    })
  }
}

/** Behind a request that is made by hand, because some tokens are none that a header could carry. */
function expressVerifier(options: VerifierOptions) {
  const middleware = auth({ ...options, audience })
  const app = express()
  return async (token: string): Promise<object> => {
    const headers = { host: 'api.example.com', authorization: `Bearer ${token}` }
    const members = { app, method: 'GET', url: '/', originalUrl: '/', query: {}, headers, socket: {} }
    const req: ExpressRequest = Object.create(app.request, Object.getOwnPropertyDescriptors(members))
    await new Promise<void>((resolve, reject) => {
      void middleware(req, {} as ExpressResponse, (error?: unknown) => {
        if (error === undefined) resolve()
        else reject(error)
      })
    })
    return (req.auth as unknown as { payload: object }).payload
  }
}

/** It has no key sets: the key is looked up by hand, by name, or else the first that can have signed. */
async function fastVerifier({ issuer, jwksUri, clockTolerance }: VerifierOptions) {
  const { keys } = (await (await fetch(jwksUri)).json()) as {
    keys: (JsonWebKeyInput['key'] & { kid: string })[]
  }
  const published = keys
    .filter(({ use }) => use === 'sig')
    .map((key) => {
      const publicKey = createPublicKey({ key, format: 'jwk' })
      const { crv = '', kty = '', kid } = key
      return { kid, kind: crv || kty, pem: String(publicKey.export({ type: 'spki', format: 'pem' })) }
    })
  const kinds: Record<string, string> = {
    RS: 'RSA',
    PS: 'RSA',
    ES256: 'P-256',
    ES384: 'P-384',
    EdDSA: 'Ed25519',
  }
  const verify = createFastVerifier({
    key: async ({ header }: { header: Record<string, unknown> }) => {
      const { kid, alg } = header
      const name = String(alg)
      const kind = kinds[name] ?? kinds[name.slice(0, 2)]
      const key = published.find((one) => (kid === undefined ? one.kind === kind : one.kid === kid))
      if (!key) throw new Error('no such key')
      return key.pem
    },
    algorithms,
    allowedIss: issuer,
    allowedAud: audience,
    clockTolerance: clockTolerance * 1_000,
  })
  return async (token: string): Promise<object> => (await verify(token)) as object
}
