/** What an authorization server says about itself: discovered (OpenID Connect Discovery, RFC 8414) or configured. */

import { OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { documentLimit, isLoopback, isSecure, jsonObject, type HttpClient } from '../http.js'
import { remoteDocument } from '../remote-document.js'

/** Metadata by its names in RFC 8414 §2 and OpenID Connect Discovery §3. */
export interface ServerMetadata {
  readonly issuer: string
  readonly authorization_endpoint?: string
  readonly token_endpoint?: string
  readonly userinfo_endpoint?: string
  readonly end_session_endpoint?: string
  readonly revocation_endpoint?: string
  readonly introspection_endpoint?: string
  readonly jwks_uri?: string
  readonly token_endpoint_auth_methods_supported?: readonly string[]
  readonly introspection_endpoint_auth_methods_supported?: readonly string[]
  readonly code_challenge_methods_supported?: readonly string[]
  readonly authorization_response_iss_parameter_supported?: boolean
  readonly dpop_signing_alg_values_supported?: readonly string[]
}

/** Gives the metadata; throws `server_unavailable`, `invalid_server_response` or `invalid_server_metadata` when it cannot. */
export type MetadataSource = () => Promise<ServerMetadata>

/** The endpoints of whoever signs people in. */
const loginEndpointNames = [
  'authorization_endpoint',
  'token_endpoint',
  'userinfo_endpoint',
  'end_session_endpoint',
  'revocation_endpoint',
  'jwks_uri',
] as const

const endpointNames = [...loginEndpointNames, 'introspection_endpoint'] as const

type EndpointName = (typeof endpointNames)[number]

/** The endpoints of a server that publishes no metadata. */
export interface ServerEndpoints {
  readonly authorization: string
  readonly token: string
  readonly userinfo?: string
  readonly endSession?: string
  readonly revocation?: string
  /** The server's key set; needed to check ID tokens. */
  readonly jwks?: string
}

/** Configured endpoints as metadata. Without an issuer the origin of the first endpoint names the server. */
export function configuredMetadata(
  endpoints: Partial<ServerEndpoints> & Pick<ServerEndpoints, 'token'>,
  issuer?: string,
): ServerMetadata {
  const { authorization, token, userinfo, endSession, revocation, jwks } = endpoints
  return {
    issuer: issuer ?? new URL(authorization ?? token).origin,
    ...(authorization !== undefined && { authorization_endpoint: authorization }),
    token_endpoint: token,
    ...(userinfo !== undefined && { userinfo_endpoint: userinfo }),
    ...(endSession !== undefined && { end_session_endpoint: endSession }),
    ...(revocation !== undefined && { revocation_endpoint: revocation }),
    ...(jwks !== undefined && { jwks_uri: jwks }),
  }
}

/** The URL of an endpoint; throws `invalid_server_metadata` when the server names none. */
export function requireEndpoint(metadata: ServerMetadata, name: EndpointName): string {
  const url = metadata[name]
  if (url !== undefined) return url
  throw new OAuthError('invalid_server_metadata', {
    message: `the metadata of ${metadata.issuer} names no "${name}"`,
  })
}

/** Fetched when first asked for, so that an app starts while its authorization server is down. */
export function discoveredMetadata(options: {
  issuer: string
  http: HttpClient
  emit: Emit
  /** Seconds since the epoch. */
  now: () => number
  /** The endpoints that will be used. What the server says of others is none of the caller's business. Default: those of a login. */
  uses?: readonly EndpointName[]
  /**
   * The document itself, where it is not at the issuer's own address. Whoever names the place vouches for it: the document's
   * `issuer` is not compared.
   */
  url?: string
}): MetadataSource {
  const { issuer, http, emit, now, uses = loginEndpointNames } = options
  const urls = options.url === undefined ? wellKnownUrls(issuer) : ([options.url] as const)
  const document = remoteDocument({
    load: async () => {
      const { url, metadata } = await firstAnswer(urls, http)
      const isNamed = options.url !== undefined
      const checked = checkMetadata(isNamed ? { ...metadata, issuer } : metadata, issuer, url, uses)
      emit({ type: 'metadata_fetched', url })
      return checked
    },
    onFailure: (error, stale) => emit({ type: 'metadata_failed', url: urls[0], stale, error }),
    now,
  })
  return () => document.current()
}

/** OpenID Connect appends its path, RFC 8414 §3.1 inserts its own before the issuer's. */
function wellKnownUrls(issuer: string): [string, string] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  return [
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ]
}

/** The second place is asked only when the first answers, but with something else: some servers send a sign-in page. */
async function firstAnswer(
  [first, second]: readonly [string, string?],
  http: HttpClient,
): Promise<{ url: string; metadata: Record<string, unknown> }> {
  try {
    return { url: first, metadata: await fetchMetadata(first, http) }
  } catch (error) {
    const isOther = error instanceof OAuthError && error.code === 'invalid_server_response'
    if (!isOther || second === undefined) throw error
    return { url: second, metadata: await fetchMetadata(second, http).catch(() => Promise.reject(error)) }
  }
}

async function fetchMetadata(url: string, http: HttpClient): Promise<Record<string, unknown>> {
  const response = await http(url, { headers: { accept: 'application/json' }, limit: documentLimit })
  return jsonObject(response, `the metadata at ${url}`)
}

function checkMetadata(
  answer: Record<string, unknown>,
  issuer: string,
  url: string,
  uses: readonly EndpointName[],
): ServerMetadata {
  // Some servers write null for an endpoint that they do not have.
  const isAbsent = (name: string, value: unknown) =>
    value === null && endpointNames.some((one) => one === name)
  const metadata = Object.fromEntries(
    Object.entries(answer).filter(([name, value]) => !isAbsent(name, value)),
  )
  const refuse = (problem: string, hint?: string): never => {
    throw new OAuthError('invalid_server_metadata', {
      message: `${url}: ${problem}`,
      ...(hint !== undefined && { hint }),
    })
  }
  if (metadata['issuer'] !== issuer) {
    refuse(
      `its "issuer" is ${shown(metadata['issuer'])}, configured is "${issuer}"`,
      'Set the option "issuer" to exactly what the metadata says, trailing slash included, if that is the server you mean.',
    )
  }
  // Only a server on this machine may name http endpoints on this machine.
  const mayBeLoopback = isLoopback(new URL(url))
  for (const name of uses) {
    const value = metadata[name]
    if (value === undefined) continue
    const endpoint = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
    const isSafe = endpoint && (endpoint.protocol === 'https:' || (mayBeLoopback && isSecure(endpoint)))
    if (!isSafe || endpoint.username !== '' || endpoint.password !== '' || endpoint.hash !== '') {
      refuse(`"${name}" is not an https URL`)
    }
  }
  const challengeMethods = metadata['code_challenge_methods_supported']
  if (
    uses.includes('authorization_endpoint') &&
    challengeMethods !== undefined &&
    !(Array.isArray(challengeMethods) && challengeMethods.includes('S256'))
  ) {
    refuse(
      'the server does not support PKCE with S256',
      'Enable PKCE (S256) for this client at the authorization server.',
    )
  }
  for (const name of ['token_endpoint', 'introspection_endpoint'] as const) {
    const authMethods = metadata[`${name}_auth_methods_supported`]
    if (authMethods === undefined || (name === 'introspection_endpoint' && !uses.includes(name))) continue
    if (!(Array.isArray(authMethods) && authMethods.every((one) => typeof one === 'string')))
      refuse(`"${name}_auth_methods_supported" is not a list of texts`)
  }
  return metadata as unknown as ServerMetadata
}

/** A value of the document for a message, of bounded length. */
function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 200)) : typeof value
}
