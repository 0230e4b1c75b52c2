/** Faults of the logout token beyond the modules. */
import { createHmac } from 'node:crypto'
import { SignJWT } from 'jose'
import { idTokenClaims } from '../id-token.js'
import { logoutEvent, logoutToken, logoutTokenHeader } from '../logout-token.js'
import { now, signingKey, type Authorization, type Provider, type Steps } from '../provider.js'
import { newSigningKey } from '../signing-key.js'
import { withLogoutClaims } from './modules-logout.js'

export const logoutTokenFaults = {
  'logout-token-alg-none-signed': {
    logoutToken: async (op, authorization) => {
      const [, ...rest] = (await logoutToken(op, authorization)).split('.')
      const header = JSON.stringify({ ...logoutTokenHeader(op), alg: 'none' })
      return [Buffer.from(header).toString('base64url'), ...rest].join('.')
    },
  },
  'logout-token-hs256-with-client-secret': withHs256(({ client }) => client.secret),
  'logout-token-hs256-with-public-key': withHs256((op) => JSON.stringify(signingKey(op).publicJwk)),
  'logout-token-other-key': withSigner(async (op, claims) => {
    const { privateKey } = await newSigningKey()
    return new SignJWT(claims).setProtectedHeader(logoutTokenHeader(op)).sign(privateKey)
  }),
  'logout-token-unknown-kid': { logoutTokenHeader: (op) => ({ ...logoutTokenHeader(op), kid: 'unknown' }) },
  'logout-token-broken-signature': {
    logoutToken: async (op, authorization) => {
      const [header, payload, signature = ''] = (await logoutToken(op, authorization)).split('.')
      const bytes = Buffer.from(signature, 'base64url')
      bytes[10] = (bytes[10] ?? 0) ^ 1
      return [header, payload, bytes.toString('base64url')].join('.')
    },
  },
  'logout-token-typ-at-jwt': { logoutTokenHeader: (op) => ({ ...logoutTokenHeader(op), typ: 'at+jwt' }) },
  'logout-token-typ-secevent': {
    logoutTokenHeader: (op) => ({ ...logoutTokenHeader(op), typ: 'secevent+jwt' }),
  },
  'logout-token-id-token': {
    logoutToken: async (op, authorization) =>
      new SignJWT(idTokenClaims(op, authorization))
        .setProtectedHeader({ ...logoutTokenHeader(op), typ: 'JWT' })
        .sign(signingKey(op).privateKey),
  },
  'logout-token-iss-missing': withLogoutClaims(() => ({ iss: undefined })),
  'logout-token-iss-slash': withLogoutClaims((op) => ({ iss: `${op.issuer}/` })),
  'logout-token-iss-list': withLogoutClaims((op) => ({ iss: [op.issuer] })),
  'logout-token-aud-missing': withLogoutClaims(() => ({ aud: undefined })),
  'logout-token-aud-others': withLogoutClaims(() => ({ aud: ['client-2', 'client-3'] })),
  'logout-token-iat-missing': withLogoutClaims(() => ({ iat: undefined })),
  'logout-token-iat-text': withLogoutClaims(() => ({ iat: String(now()) })),
  'logout-token-iat-old': withLogoutClaims(() => ({ iat: now() - 331 })),
  'logout-token-iat-ahead': withLogoutClaims(() => ({ iat: now() + 60 })),
  'logout-token-exp-over': withLogoutClaims(() => ({ exp: now() - 31 })),
  'logout-token-exp-text': withLogoutClaims(() => ({ exp: 'never' })),
  'logout-token-nbf-ahead': withLogoutClaims(() => ({ nbf: now() + 60 })),
  'logout-token-jti-missing': withLogoutClaims(() => ({ jti: undefined })),
  'logout-token-jti-empty': withLogoutClaims(() => ({ jti: '' })),
  'logout-token-jti-number': withLogoutClaims(() => ({ jti: 1 })),
  'logout-token-jti-long': withLogoutClaims(() => ({ jti: 'a'.repeat(513) })),
  'logout-token-nobody': withLogoutClaims(() => ({ sub: undefined, sid: undefined })),
  'logout-token-sid-empty': withLogoutClaims(() => ({ sid: '' })),
  'logout-token-sid-number': withLogoutClaims(() => ({ sid: 1 })),
  'logout-token-sid-long': withLogoutClaims(() => ({ sid: 'a'.repeat(513) })),
  'logout-token-sub-empty': withLogoutClaims(() => ({ sub: '', sid: undefined })),
  'logout-token-sub-list': withLogoutClaims((_op, { subject }) => ({ sub: [subject], sid: undefined })),
  'logout-token-nonce-null': withLogoutClaims(() => ({ nonce: null })),
  'logout-token-events-text': withLogoutClaims(() => ({ events: logoutEvent })),
  'logout-token-events-list': withLogoutClaims(() => ({ events: [logoutEvent] })),
  'logout-token-event-true': withLogoutClaims(() => ({ events: { [logoutEvent]: true } })),
  'logout-token-event-list': withLogoutClaims(() => ({ events: { [logoutEvent]: [] } })),
  'logout-token-event-null': withLogoutClaims(() => ({ events: { [logoutEvent]: null } })),
} satisfies Record<string, Partial<Steps>>

function withSigner(
  sign: (op: Provider, claims: Record<string, unknown>) => Promise<string>,
): Pick<Steps, 'logoutToken'> {
  return {
    logoutToken: async (op: Provider, authorization: Authorization) =>
      sign(op, await op.steps.logoutTokenClaims(op, authorization)),
  }
}

function withHs256(secretOf: (op: Provider) => string): Pick<Steps, 'logoutToken'> {
  return withSigner(async (op, claims) => {
    const header = { ...logoutTokenHeader(op), alg: 'HS256' }
    const input = [header, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    return `${input}.${createHmac('sha256', secretOf(op)).update(input).digest('base64url')}`
  })
}
