/** The modules of the logout plans, by name: one fault in the logout token, or in the way back after logout. */
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { redirect } from '../answer.js'
import { answerEndSession } from '../end-session.js'
import { jwks } from '../jwks.js'
import { logoutTokenClaims, logoutTokenHeader } from '../logout-token.js'
import type { Authorization, Provider, Steps } from '../provider.js'

/** A key of the server that signs no ID tokens for this client. */
const otherKey = generateKeyPair('ES256', { extractable: true })
const otherHeader = { alg: 'ES256', kid: 'for-other-clients' }

export const logoutModules = {
  'oidcc-client-test-rp-init-logout': {},
  'oidcc-client-test-rp-init-logout-other-state': withReturn((url) => {
    url.searchParams.set('state', `${url.searchParams.get('state')}_INVALID`)
  }),
  'oidcc-client-test-rp-init-logout-no-state': withReturn((url) => url.searchParams.delete('state')),
  'oidcc-client-test-rp-backchannel-rpinitlogout': {},
  'oidcc-client-test-rp-backchannel-rpinitlogout-alg-none': {
    logoutToken: async (op, authorization) =>
      new UnsecuredJWT(await op.steps.logoutTokenClaims(op, authorization)).encode(),
  },
  'oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg': {
    jwks: async (op) => [...jwks(op), { ...(await exportJWK((await otherKey).publicKey)), ...otherHeader }],
    logoutToken: async (op, authorization) =>
      new SignJWT(await op.steps.logoutTokenClaims(op, authorization))
        .setProtectedHeader({ ...logoutTokenHeader(op), ...otherHeader })
        .sign((await otherKey).privateKey),
  },
  'oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud': withLogoutClaims((op) => ({
    aud: `${op.client.id}1`,
  })),
  'oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss': withLogoutClaims((op) => ({
    iss: `${op.issuer}1`,
  })),
  'oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event': withLogoutClaims(() => ({
    events: { 'http://schemas.openid.net/event/foobar': {} },
  })),
  'oidcc-client-test-rp-backchannel-rpinitlogout-no-event': withLogoutClaims(() => ({ events: undefined })),
  'oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce': withLogoutClaims(() => ({ nonce: 'a nonce' })),
  'oidcc-client-test-rp-frontchannel-rpinitlogout': {},
  'oidcc-client-test-rp-frontchannel-opinitlogout': {},
  'oidcc-client-test-3rd-party-init-login': {},
} satisfies Record<string, Partial<Steps>>

/** A fault that changes claims of the logout token; `undefined` removes one. */
export function withLogoutClaims(
  change: (op: Provider, authorization: Authorization) => Record<string, unknown>,
): Pick<Steps, 'logoutTokenClaims'> {
  return {
    logoutTokenClaims: (op, authorization) => ({
      ...logoutTokenClaims(op, authorization),
      ...change(op, authorization),
    }),
  }
}

function withReturn(change: (url: URL) => void): Pick<Steps, 'answerEndSession'> {
  return {
    answerEndSession: (op, parameters) => {
      const answer = answerEndSession(op, parameters)
      if (typeof answer === 'function' || answer.headers['location'] === undefined) return answer
      const url = new URL(answer.headers['location'])
      change(url)
      return redirect(url.href)
    },
  }
}
