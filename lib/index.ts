/** What may be imported from `express-oauth-kit`. */

export { getAuth, startLogin, type Auth, type SessionAuth } from './middleware/auth.js'
export {
  optionalLogin,
  requireAnyScope,
  requireClaim,
  requireLogin,
  requireScope,
} from './middleware/guards.js'
export { requirementsOf, type Guard, type Requirement } from './middleware/requirement.js'
export { requireStepUp, type StepUpOptions } from './middleware/step-up.js'
export type { ClaimPath, ClaimValue } from './oauth/claim.js'
export type { ImpliedScopes } from './oauth/implied-scopes.js'
export {
  oauthBearer,
  type OAuthBearer,
  type OAuthBearerOptions,
  type OAuthBearerSettings,
} from './middleware/oauth-bearer.js'
export { csrfProtection, type CsrfProtectionOptions } from './middleware/csrf-protection.js'
export type { UserEndpointOptions } from './middleware/user-endpoint.js'
export { protectedResource, type ProtectedResource } from './middleware/protected-resource.js'
export type { BearerAuth } from './resource/bearer-auth.js'
export type { IssuerResolver } from './resource/issuer-resolver.js'
export type { Audience, IssuerOptions } from './resource/issuer-options.js'
export type { Issuers, TrustChoice } from './resource/trusted-issuers.js'
export type { ClientCertificate, MutualTlsOptions } from './resource/client-certificate.js'
export type { DPoPOptions } from './resource/dpop.js'
export type { IntrospectionOptions } from './resource/introspector.js'
export { toMcpVerifier, type McpAuthInfo, type McpTokenVerifier } from './resource/mcp.js'
export type {
  FurtherMetadata,
  ProtectedResourceOptions,
  ResourceDescription,
} from './resource/resource-metadata.js'
export {
  createVerifier,
  type Verifier,
  type VerifierOptions,
  type VerifierSettings,
} from './resource/verifier.js'
export { oauthLogin, type OAuthLogin } from './middleware/oauth-login.js'
export { oauthProxy, type OAuthProxy } from './middleware/oauth-proxy.js'
export type { OAuthProxyOptions, ProxyToken, ProxyWebSockets } from './middleware/oauth-proxy-options.js'
export {
  clientCredentials,
  type ClientCredentialsOptions,
  type ServiceApi,
  type ServiceClient,
  type ServiceTokenRequest,
} from './tokens/client-credentials.js'
export {
  upgradeListener,
  type AuthenticateUpgradeOptions,
  type UpgradeHandler,
  type Upgrades,
} from './middleware/upgrades.js'
export type { OAuthLoginOptions, UserApi } from './middleware/oauth-login-options.js'
export type { LoginAttempt, LoginHook } from './middleware/callback.js'
export type { StartLoginOptions } from './middleware/login.js'
export type { Middleware } from './middleware/request.js'
export { isOAuthError, OAuthError, type OAuthErrorCode, type ServerError } from './errors.js'
export type { OAuthEvent } from './events.js'
export type { AccessTokenOptions } from './session/wanted-token.js'
export type { Fetch } from './http.js'
export type { Algorithm, Claims } from './jose/jwt.js'
export type { StaticKey, StaticKeys } from './jose/static-key-set.js'
export type { AuthorizationParameters, ResponseMode } from './oauth/authorization-request.js'
export type { ClientKey, TokenEndpointAuthMethod } from './oauth/client-authentication.js'
export type { ClientSecret } from './oauth/client-secret.js'
export type { ServerEndpoints } from './oauth/server-metadata.js'
export type { ApiFetch } from './tokens/api-fetch.js'
export type { ApiOptions } from './tokens/listed-api.js'
export type { Connection, ConnectionTokenOptions, ConnectionView } from './connections/connection.js'
export type { ConnectionField } from './connections/connection-fields.js'
export type {
  AccountAnswer,
  ConnectionEnvironment,
  ConnectionProvider,
  ConnectionTest,
  RequestParameters,
  TokenRevocation,
} from './connections/provider-options.js'
export type { NeedsReconnectReason } from './connections/standing.js'
export type { CheckOptions, CheckResult } from './connections/sweep.js'
export { memoryConnectionStore } from './connections/memory-connection-store.js'
export type { ConnectOutcome } from './middleware/connect-outcome.js'
export type { ConnectAction } from './middleware/failure-words.js'
export {
  oauthConnections,
  type OAuthConnections,
  type OwnerConnections,
  type RedirectUri,
} from './middleware/oauth-connections.js'
export type { ConnectionsPageOptions } from './middleware/connections-page.js'
export type { OAuthConnectionsOptions } from './middleware/oauth-connections-options.js'
export type { TokenResponseHook } from './oauth/token-response.js'
export {
  postgresConnectionStore,
  type PostgresConnectionStore,
  type PostgresConnectionStoreOptions,
} from './connections/postgres-connection-store.js'
export type { ConnectionStore, WriteOutcome } from './connections/connection-store.js'
export type { ConnectionRecord, ConnectionStatus, ProviderAccount } from './connections/connection-record.js'
export { memoryStore, type MemoryStoreOptions } from './stores/memory-store.js'
export { postgresStore, type PostgresStore, type PostgresStoreOptions } from './stores/postgres-store.js'
export type { PostgresPool } from './stores/postgres-table.js'
export {
  redisStore,
  type IoredisClient,
  type NodeRedisClient,
  type RedisStoreOptions,
} from './stores/redis-store.js'
export type { Store } from './stores/store.js'
