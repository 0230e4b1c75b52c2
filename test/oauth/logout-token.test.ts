import { describe, expect, test } from 'vitest'
import { emitter } from '../../lib/events.js'
import { isOAuthError } from '../../lib/errors.js'
import { httpClient } from '../../lib/http.js'
import { algorithms } from '../../lib/jose/jwt.js'
import { remoteKeySet } from '../../lib/jose/remote-key-set.js'
import { verifyLogoutToken, type LogoutToken, type LogoutTokenRules } from '../../lib/oauth/logout-token.js'
import { logoutTokenHeader } from '../support/faulty-server/logout-token.js'
import type { logoutTokenFaults } from '../support/faulty-server/faults/logout-token.js'
import { withLogoutClaims } from '../support/faulty-server/faults/modules-logout.js'
import { now } from '../support/faulty-server/provider.js'
import type { Fault, FaultName, FaultyServer } from '../support/faulty-server.js'
import { startStage } from '../support/stage.js'

/** The token that the server makes for a user who has signed in, and what becomes of it here. */
async function verified(
  fault: FaultName | Fault,
  change: (server: FaultyServer) => Partial<LogoutTokenRules> = () => ({}),
) {
  const stage = await startStage()
  await stage.signedIn()
  stage.server.misbehave(fault)
  const { issuer, clientId } = stage.server
  const uri = stage.server.requests.find(({ endpoint }) => endpoint === 'jwks')?.path ?? ''
  const keySet = remoteKeySet({
    uri: async () => issuer + uri,
    http: httpClient(undefined, 5),
    emit: emitter(() => undefined),
    now,
  })
  const before = stage.server.counts.jwks
  const token = await stage.server.logoutToken()
  const verdict = await verifyLogoutToken(token, {
    issuer,
    clientId,
    algorithms,
    keySet,
    clockTolerance: 30,
    now,
    ...change(stage.server),
  }).catch((error: unknown) => (isOAuthError(error) ? `${error.code} ${error.reason}` : String(error)))
  return { verdict, token, sid: stage.server.sid, keyFetches: stage.server.counts.jwks - before }
}

async function verdictOn(fault: FaultName | Fault): Promise<LogoutToken | string> {
  const { verdict } = await verified(fault)
  return verdict
}

test('a token of the server says who was signed out, when and by which token', async () => {
  const { verdict, token, sid } = await verified({})
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
  expect(verdict).toEqual({ sid, subject: 'subject-1', issuedAt: claims.iat, id: claims.jti })
})

describe('also good are', () => {
  const good: Record<string, Fault> = {
    'no typ': { logoutTokenHeader: (op) => ({ ...logoutTokenHeader(op), typ: undefined }) as never },
    'typ JWT': { logoutTokenHeader: (op) => ({ ...logoutTokenHeader(op), typ: 'JWT' }) },
    'typ in full': {
      logoutTokenHeader: (op) => ({ ...logoutTokenHeader(op), typ: 'application/logout+jwt' }),
    },
    'several audiences': withLogoutClaims((op) => ({ aud: ['client-2', op.client.id] })),
    'no exp': withLogoutClaims(() => ({ exp: undefined })),
    'exp a moment ago': withLogoutClaims(() => ({ exp: now() - 25 })),
    'iat five minutes ago': withLogoutClaims(() => ({ iat: now() - 325 })),
    'iat a moment ahead': withLogoutClaims(() => ({ iat: now() + 25 })),
    'sub alone': withLogoutClaims(() => ({ sid: undefined })),
    'sid alone': withLogoutClaims(() => ({ sub: undefined })),
    'an event with content': withLogoutClaims(() => ({
      events: { 'http://schemas.openid.net/event/backchannel-logout': { a: 1 }, 'urn:other': {} },
    })),
    'the longest jti': withLogoutClaims(() => ({ jti: 'a'.repeat(512) })),
  }

  test.each(Object.entries(good))('%s', async (_what, fault) => {
    expect(await verdictOn(fault)).toMatchObject({ issuedAt: expect.any(Number), id: expect.any(String) })
  })

  test('sid alone names no user, sub alone no session', async () => {
    expect(await verdictOn(withLogoutClaims(() => ({ sub: undefined })))).not.toHaveProperty('subject')
    expect(await verdictOn(withLogoutClaims(() => ({ sid: undefined })))).not.toHaveProperty('sid')
  })
})

describe('refused', () => {
  const modules = {
    'oidcc-client-test-rp-backchannel-rpinitlogout-alg-none': 'encoding',
    'oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud': 'audience',
    'oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss': 'issuer',
    'oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event': 'events',
    'oidcc-client-test-rp-backchannel-rpinitlogout-no-event': 'events',
    'oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce': 'nonce',
  } satisfies Partial<Record<FaultName, string>>
  const reasons: Record<keyof typeof logoutTokenFaults | keyof typeof modules, string> = {
    ...modules,
    'logout-token-alg-none-signed': 'algorithm',
    'logout-token-hs256-with-client-secret': 'algorithm',
    'logout-token-hs256-with-public-key': 'algorithm',
    'logout-token-other-key': 'signature',
    'logout-token-unknown-kid': 'unknown_key',
    'logout-token-broken-signature': 'signature',
    'logout-token-typ-at-jwt': 'typ',
    'logout-token-typ-secevent': 'typ',
    'logout-token-id-token': 'events',
    'logout-token-iss-missing': 'issuer',
    'logout-token-iss-slash': 'issuer',
    'logout-token-iss-list': 'issuer',
    'logout-token-aud-missing': 'audience',
    'logout-token-aud-others': 'audience',
    'logout-token-iat-missing': 'iat',
    'logout-token-iat-text': 'iat',
    'logout-token-iat-old': 'too_old',
    'logout-token-iat-ahead': 'iat',
    'logout-token-exp-over': 'expired',
    'logout-token-exp-text': 'exp',
    'logout-token-nbf-ahead': 'nbf',
    'logout-token-jti-missing': 'jti',
    'logout-token-jti-empty': 'jti',
    'logout-token-jti-number': 'jti',
    'logout-token-jti-long': 'jti',
    'logout-token-nobody': 'nobody',
    'logout-token-sid-empty': 'sid',
    'logout-token-sid-number': 'sid',
    'logout-token-sid-long': 'sid',
    'logout-token-sub-empty': 'sub',
    'logout-token-sub-list': 'sub',
    'logout-token-nonce-null': 'nonce',
    'logout-token-events-text': 'events',
    'logout-token-events-list': 'events',
    'logout-token-event-true': 'events',
    'logout-token-event-list': 'events',
    'logout-token-event-null': 'events',
  }

  test.each(Object.entries(reasons) as [FaultName, string][])('%s: %s', async (fault, reason) => {
    const { verdict, keyFetches } = await verified(fault)
    expect(verdict).toBe(`invalid_token ${reason}`)
    const needsKeys = ['signature', 'unknown_key'].includes(reason)
    expect(keyFetches).toBe(needsKeys ? 1 : 0)
  })

  test('an algorithm that was not chosen, though the server has a key for it', async () => {
    const fault = 'oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg'
    expect((await verified(fault, () => ({ algorithms: ['RS256'] }))).verdict).toBe('invalid_token algorithm')
    expect((await verified(fault)).verdict).toMatchObject({ subject: 'subject-1' })
  })

  test('an ID token with everything of a logout token but for its nonce', async () => {
    const fault = withLogoutClaims((_op, { parameters }) => ({ nonce: parameters.get('nonce') }))
    expect(await verdictOn(fault)).toBe('invalid_token nonce')
  })

  test('without keys to ask nobody is to blame', async () => {
    const { verdict } = await verified({ answerJwks: () => (response) => void response.destroy() })
    expect(verdict).toBe('key_set_unavailable undefined')
  })
})
