/** A provider whose accounts can be connected: its options, checked, and its servers, built when they are first needed. */

import type { Emit } from '../events.js'
import type { Fetch, HttpClient } from '../http.js'
import { algorithms } from '../jose/jwt.js'
import { keptInUse } from '../kept-in-use.js'
import { checkedAuthorizationParameters } from '../oauth/authorization-parameters.js'
import type { AuthorizationParameters } from '../oauth/authorization-request.js'
import { createClient } from '../oauth/client.js'
import { derivedDPoPKeys } from '../oauth/dpop-keys.js'
import { checkedResource, checkedScope } from '../oauth/requested-access.js'
import { configuredMetadata, discoveredMetadata } from '../oauth/server-metadata.js'
import type { OptionChecks } from '../options.js'
import { checkedFields, type Fields } from './connection-fields.js'
import { accountReader, type AccountReader } from './provider-account.js'
import { checkedEnvironments, fieldsOf, knownOfServer } from './provider-environments.js'
import type { ConnectionProvider } from './provider-options.js'
import { revokedBy } from './provider-revocation.js'
import { createProviderServer, type ProviderServer } from './provider-server.js'
import { placesIn, type FieldValues } from './url-template.js'

export interface Provider extends AccountReader {
  /** Its name in the option `providers`. */
  readonly key: string
  /** What people call it. */
  readonly name: string
  readonly redirectUri: string
  readonly fields: Fields
  readonly scope: readonly string[]
  readonly resource: string | undefined
  readonly authorizationParameters: AuthorizationParameters
  readonly sharedAccounts: boolean
  /** The server that these fields lead to. Throws `invalid_fields` for values that lead nowhere, or not any more. */
  server(fields: FieldValues): ProviderServer
}

export interface ProviderParts {
  redirectUri: string
  secrets: readonly string[]
  /** Sends requests to authorization servers. */
  http: HttpClient
  /** Sends requests to APIs. */
  fetch: Fetch
  /** Seconds. */
  timeout: number
  clockTolerance: number
  emit: Emit
  now: () => number
}

const known: Record<keyof ConnectionProvider, true> = {
  ...knownOfServer,
  name: true,
  environments: true,
  fields: true,
  scope: true,
  resource: true,
  authorizationParameters: true,
  tokenResponse: true,
  revokeToken: true,
  test: true,
  accountId: true,
  emailAsAccountId: true,
  label: true,
  allow: true,
  parameters: true,
  sharedAccounts: true,
  dpop: true,
}

/** Servers of one provider, where a field without choices leads to many; the ones in use stay. */
const mostServers = 1_000

/** Throws `invalid_configuration` for options that cannot work. */
export function createProvider(
  key: string,
  options: ConnectionProvider,
  checkAll: OptionChecks,
  parts: ProviderParts,
): Provider {
  if (!/^[a-z0-9][a-z0-9_-]{0,39}$/i.test(key))
    checkAll.refuse(
      `providers.${key}`,
      'has a name that cannot be part of a path',
      'use at most 40 letters, digits, "-" and "_"',
    )
  const check = checkAll.within(`providers.${key}`, options, known)
  const name =
    options.name === undefined ? key : check.string('name', options.name, 'say what people call it')
  const scope = checkedScope(options.scope ?? '', check)
  const fields = checkedFields(fieldsOf(options, check), check)
  const environments = checkedEnvironments(options, fields, scope, check)
  const places = environments.places.toSorted()
  const resource = checkedResource(options.resource, check)
  refusePlaces('resource', resource, fields, check)
  const parameters = checkedAuthorizationParameters(options.authorizationParameters, scope, check)
  for (const [parameter, value] of Object.entries(parameters))
    refusePlaces(`authorizationParameters.${parameter}`, value, fields, check)
  for (const hook of ['tokenResponse', 'revokeToken', 'accountId', 'label'] as const)
    check.function(hook, options[hook])
  check.boolean('emailAsAccountId', options.emailAsAccountId)

  const dpopKeys = derivedDPoPKeys(parts.secrets, {
    purpose: `dpop key connections ${key}`,
    isWanted: check.boolean('dpop', options.dpop),
    now: parts.now,
  })
  const servers = keptInUse<ProviderServer>({ most: mostServers })

  return {
    key,
    name,
    redirectUri: parts.redirectUri,
    fields,
    scope,
    resource,
    authorizationParameters: parameters,
    sharedAccounts: check.boolean('sharedAccounts', options.sharedAccounts),
    ...accountReader({ key, name }, options),
    server(values) {
      // What leads nowhere, such as a name for people, makes no server of its own.
      const leading = fields.kept(values, places)
      return servers.get(JSON.stringify(leading), () => serverFor(leading))
    },
  }

  function serverFor(values: FieldValues): ProviderServer {
    const { issuer, endpoints, credentials, apis, test } = environments.of(values)
    const { http, fetch, timeout, clockTolerance, emit, now, redirectUri } = parts
    const { clientId, ...proof } = credentials
    const metadata = endpoints && configuredMetadata(endpoints, issuer)
    const client = createClient({
      clientId,
      redirectUri,
      credentials: proof,
      metadata: metadata
        ? async () => metadata
        : discoveredMetadata({ issuer: issuer ?? '', http, emit, now }),
      http,
      algorithms,
      clockTolerance,
      dpopKeys,
      ...(options.tokenResponse && { tokenResponse: options.tokenResponse }),
      timeout,
      emit,
      now,
    })
    return createProviderServer({
      issuer: metadata?.issuer ?? issuer ?? '',
      client,
      dpopKeys,
      apis,
      testApi: test?.api,
      judge: test?.judge,
      revokeTokens:
        options.revokeToken && revokedBy(options.revokeToken, credentials, { http, timeout, now }),
      isDiscovered: !metadata,
      http,
      fetch,
      emit,
    })
  }
}

/** Whoever writes one there expects it to be filled in. */
function refusePlaces(
  option: string,
  value: string | number | undefined,
  fields: Fields,
  check: OptionChecks,
): void {
  const isAsked = (name: string) => fields.asked.some((field) => field.name === name)
  const place = placesIn(String(value)).find(isAsked)
  if (place !== undefined)
    check.refuse(
      option,
      `has a place for "${place}"`,
      'fields can stand in URLs of the server and the API only',
    )
}
