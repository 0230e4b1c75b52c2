/** What the definitions of providers have in common: what apps give to them, and what comes out. */

import type { ClientSecret } from '../../oauth/client-secret.js'
import type { ConnectionProvider } from '../provider-options.js'

/** A provider without environments; each definition gives one. It is plain data, to be spread and changed. */
export type DefinedProvider = Extract<ConnectionProvider, { environments?: undefined }>

/** What an app says of its client, and whatever else is to be otherwise than the definition has it. */
export interface DefinitionOptions extends Partial<DefinedProvider> {
  /** The public identifier of this application at the provider. */
  clientId: string
  clientSecret?: ClientSecret
}

/**
 * The definition with what the app wants otherwise. `needed` are scopes without which the definition does not work. Further
 * parameters of the authorization request go along with the definition's own.
 */
export function defined(
  definition: Partial<DefinedProvider>,
  options: DefinitionOptions,
  needed: readonly string[] = [],
): DefinedProvider {
  const { scope = definition.scope ?? '', authorizationParameters, ...others } = options
  const parameters = { ...definition.authorizationParameters, ...authorizationParameters }
  return {
    ...definition,
    ...others,
    scope: [...new Set([...scope.split(' ').filter(Boolean), ...needed])].join(' '),
    ...(Object.keys(parameters).length > 0 && { authorizationParameters: parameters }),
  }
}
