/** The metadata document: OpenID Connect Discovery §3, §4. */
import { json, type Answer } from './answer.js'
import type { Provider } from './provider.js'

export const discoveryPath = '/.well-known/openid-configuration'

export function metadata(op: Provider): Record<string, unknown> {
  return {
    issuer: op.issuer,
    authorization_endpoint: `${op.issuer}/authorize`,
    token_endpoint: `${op.issuer}/token`,
    userinfo_endpoint: `${op.issuer}/userinfo`,
    revocation_endpoint: `${op.issuer}/revoke`,
    introspection_endpoint: `${op.issuer}/introspect`,
    end_session_endpoint: `${op.issuer}/end-session`,
    jwks_uri: op.issuer + op.jwksPath,
    scopes_supported: ['openid', 'profile', 'email', 'phone', 'address'],
    response_types_supported: ['code'],
    response_modes_supported: ['query', 'form_post'],
    grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    token_endpoint_auth_methods_supported: [op.client.authentication],
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
  }
}

export async function answerDiscovery(op: Provider): Promise<Answer> {
  return json(await op.steps.metadata(op))
}
