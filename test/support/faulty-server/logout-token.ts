/** How the server tells a client of a sign-out: Back-Channel Logout 1.0 §2.4, §2.5, Front-Channel Logout 1.0 §2. */
import { randomUUID } from 'node:crypto'
import { decodeJwt, SignJWT, type JWTHeaderParameters } from 'jose'
import { html, type Answer } from './answer.js'
import { now, signingKey, type Authorization, type Provider } from './provider.js'

/** Seconds. */
const lifetime = 120

export const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout'

export function logoutTokenHeader(op: Provider): JWTHeaderParameters {
  const { alg, kid } = signingKey(op)
  return { alg, kid, typ: 'logout+jwt' }
}

export function logoutTokenClaims(
  op: Provider,
  { subject, sid }: Pick<Authorization, 'subject' | 'sid'>,
): Record<string, unknown> {
  return {
    iss: op.issuer,
    aud: op.client.id,
    iat: now(),
    exp: now() + lifetime,
    jti: randomUUID(),
    sub: subject,
    sid,
    events: { [logoutEvent]: {} },
    unknown: 'of no meaning to the client',
  }
}

export async function logoutToken(op: Provider, authorization: Authorization): Promise<string> {
  const claims = await op.steps.logoutTokenClaims(op, authorization)
  const header = await op.steps.logoutTokenHeader(op)
  return new SignJWT(claims).setProtectedHeader(header).sign(signingKey(op).privateKey)
}

/** The sign-in that an ID token came of. */
export function authorizationOf(op: Provider, idToken: string): Authorization | undefined {
  if (!op.idTokens.has(idToken)) return undefined
  const { sid } = decodeJwt(idToken)
  return [...op.authorizations.values()].find((authorization) => authorization.sid === sid)
}

export async function tellDirectly(op: Provider, authorization: Authorization): Promise<void> {
  const { backchannelLogoutUri: url } = op.client
  if (url === undefined) return
  const body = new URLSearchParams({
    logout_token: await op.steps.logoutToken(op, authorization),
    unknown: 'of no meaning to the client',
  })
  const response = await fetch(url, { method: 'POST', body, redirect: 'manual' })
  op.logoutAnswers.push({
    status: response.status,
    cacheControl: response.headers.get('cache-control'),
    body: await response.text(),
  })
}

/** A page with the client in a frame, which goes on to where `answer` leads once the frame is there. */
export function tellByFrame(op: Provider, { sid }: Authorization, answer: Answer): Answer {
  const { frontchannelLogoutUri: url } = op.client
  if (url === undefined || typeof answer === 'function') return answer
  const { location } = answer.headers
  const frame = `${url}?${new URLSearchParams({ iss: op.issuer, sid }).toString()}`
  const next = location === undefined ? '' : `location = ${JSON.stringify(location)}`
  return html(
    `<!doctype html><title>Signing out</title><iframe src="${frame.replaceAll('&', '&amp;')}"></iframe>` +
      `<script>document.querySelector('iframe').onload = () => { ${next} }</script>`,
  )
}
