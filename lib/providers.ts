/** What may be imported from `express-oauth-kit/providers`: definitions of providers for `oauthConnections`. */

export { apaleo, apaleoSimpleClient } from './connections/providers/apaleo.js'
export type { DefinedProvider, DefinitionOptions } from './connections/providers/definition.js'
export { github, type GitHubOptions } from './connections/providers/github.js'
export { google } from './connections/providers/google.js'
export { microsoftEntra, type MicrosoftEntraOptions } from './connections/providers/microsoft-entra.js'
export { oidcProvider, type OidcProviderOptions } from './connections/providers/oidc-provider.js'
export { slack, type SlackOptions } from './connections/providers/slack.js'
export { lenientTokenResponse } from './oauth/lenient-token-response.js'
