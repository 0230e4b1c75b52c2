/** The ID token: OpenID Connect Core §2. */
import { SignJWT, type JWTHeaderParameters, type JWTPayload } from 'jose'
import { now, signingKey, type Authorization, type Provider } from './provider.js'

/** Seconds. */
const lifetime = 300

export function idTokenHeader(op: Provider): JWTHeaderParameters {
  const { alg, kid } = signingKey(op)
  return { alg, kid }
}

export function idTokenClaims(op: Provider, authorization: Authorization): JWTPayload {
  const { parameters, subject, sid, authenticatedAt } = authorization
  const nonce = parameters.get('nonce')
  const acr = parameters.get('acr_values')?.split(' ')[0]
  return {
    iss: op.issuer,
    sub: subject,
    aud: op.client.id,
    iat: now(),
    exp: now() + lifetime,
    auth_time: authenticatedAt,
    sid,
    ...(nonce === null ? {} : { nonce }),
    ...(acr === undefined ? {} : { acr }),
  }
}

export async function idToken(op: Provider, authorization: Authorization): Promise<string> {
  const claims = await op.steps.idTokenClaims(op, authorization)
  const header = await op.steps.idTokenHeader(op)
  return new SignJWT(claims).setProtectedHeader(header).sign(signingKey(op).privateKey)
}
