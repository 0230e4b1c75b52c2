/** Which headers pass between a browser and an API, each way (RFC 9110 §7.6.1). */

import { headerPattern, hopByHop } from '../tokens/reserved-header.js'

/** Names and values one after the other, as in `rawHeaders`: repeated headers stay repeated, in their order. */
export type HeaderList = readonly string[]

/** What tells an API who asks and from where. Only this server may say that, and it says it with the token alone. */
const identity = [
  // What reverse proxies say of the connection.
  'forwarded',
  'x-forwarded',
  'x-forwarded-',
  'x-real-',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-host',
  'true-client-ip',
  'fastly-client-ip',
  'via',
  'cf-',
  'x-envoy-',
  'x-ssl-',
  'ssl-',
  'x-client-cert.*',
  'x-client-verify.*',
  'client-cert.*',
  // What gateways that sign people in say of the user.
  'auth-',
  'remote-',
  'x-remote-',
  'x-auth.*',
  'x-webauth-',
  'x-oauth.*',
  'x-oidc.*',
  'x-user.*',
  'x-email.*',
  'x-groups?',
  'x-group-',
  'x-roles?',
  'x-role-',
  'x-admin.*',
  'x-sub',
  'x-subject.*',
  'x-principal.*',
  'x-account.*',
  'x-consumer-',
  'x-credential-',
  'x-pomerium-',
  'x-vouch-',
  'x-amzn-oidc-',
  'x-goog-authenticated-',
  'x-goog-iap-',
  'x-ms-client-principal.*',
  'x-ms-token-',
  'tailscale-',
  'impersonate-',
  'x-impersonate.*',
  // Other ways to bring a token.
  'x-access-token',
  'x-id-token',
  'x-jwt.*',
]

/** What makes some servers take a request for another one than the one that was judged. */
const otherRequest = [
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-original-',
  'x-rewrite-',
  'x-middleware-',
]

const neverUpstream = headerPattern([
  ...hopByHop,
  ...identity,
  ...otherRequest,
  // What belongs to this server: its session, and the token that proves a form to be its own.
  'cookie',
  'cookie2',
  'authorization',
  'dpop',
  'x-csrf-token',
  // What a page of this site did with its browser. It is this server that asks the API, which no rule for pages is about.
  'origin',
  'referer',
  'sec-',
  // Made anew for the other connection.
  'host',
  'content-length',
  'expect',
])

/** Anything else is `_` to some servers and `-` to others, so that it could pass for one of the names above. */
const isClearName = /^[a-z\d-]+$/

/**
 * What of a browser's request an API gets to see, but for the framing of the body. `connection` is the header of that
 * name; `dropped` names further ones that do not pass, in small letters.
 */
export function requestHeaders(
  rawHeaders: HeaderList,
  connection: string | undefined,
  dropped: ReadonlySet<string>,
): string[] {
  const passes = (name: string) => isClearName.test(name) && !neverUpstream.test(name) && !dropped.has(name)
  return passing(rawHeaders, connection, passes)
}

/** Those that pass by their name, in small letters, and that are not of this connection only. */
function passing(
  rawHeaders: HeaderList,
  connection: string | undefined,
  passes: (name: string) => boolean,
): string[] {
  const named = namedBy(connection)
  const headers: string[] = []
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = [rawHeaders[index], rawHeaders[index + 1]]
    const key = name.toLowerCase()
    if (passes(key) && !named?.has(key)) headers.push(name, value)
  }
  return headers
}

const neverDownstream = headerPattern([
  ...hopByHop,
  // A browser would ask for a password, or take note of secrets between this server and the API.
  'www-authenticate',
  'authentication-info',
  'authorization',
  'dpop-nonce',
  // The API's rules for other origins are not this server's: with them, others could read what only this site may.
  'access-control-',
  'timing-allow-origin',
  'cross-origin-resource-policy',
  // What a server says of its whole origin, and an API must not say of this one.
  'strict-transport-security',
  'public-key-pins.*',
  'expect-ct',
  'clear-site-data',
  'service-worker-allowed',
  'alt-svc',
  'nel',
  'report-to',
  'reporting-endpoints',
  // Leads elsewhere, as `Location` does, and is never needed.
  'refresh',
  'content-location',
  // Commands to the servers in front of this one: send a file, keep a copy.
  'x-accel-(redirect|expires|limit-rate|charset)',
  'x-sendfile',
  'x-lighttpd-send-file',
  'x-reproxy-',
  'surrogate-',
  'cdn-cache-control',
  '[a-z\\d]+-cdn-cache-control',
  'edge-control',
  // Of a server that the browser does not speak to.
  'server',
  'via',
  'x-powered-by',
])

export interface ResponseHeaderRule {
  /** Whether cookies of the API pass. */
  readonly passSetCookie: boolean
}

/**
 * What of an API's answer the browser gets to see, but for `Location` and `Cache-Control`, which are judged by what they
 * say.
 */
export function responseHeaders(
  rawHeaders: HeaderList,
  connection: string | undefined,
  { passSetCookie }: ResponseHeaderRule,
): string[] {
  return passing(rawHeaders, connection, (name) => {
    const isJudged = name === 'location' || name === 'cache-control' || name === 'set-cookie2'
    return !isJudged && !neverDownstream.test(name) && (name !== 'set-cookie' || passSetCookie)
  })
}

/**
 * `Cache-Control` for what one user was told, so that no cache that others share keeps it (RFC 9111 §5.2.2): without a
 * word of the API no cache at all does, else the browser's own, for as long as the API says.
 */
export function privateCacheControl(value: string | undefined): string {
  if (value === undefined || /\bno-store\b/i.test(value)) return 'private, no-store'
  const kept = value
    .split(',')
    .map((directive) => directive.trim().toLowerCase())
    .filter((directive) => isForBrowsers.test(directive))
  return ['private', ...kept].join(', ')
}

const isForBrowsers =
  /^(no-cache|must-revalidate|no-transform|immutable|(max-age|stale-while-revalidate|stale-if-error)=\d+)$/

/** The headers that are for this connection only because `Connection` says so, in small letters. */
function namedBy(connection: string | undefined): ReadonlySet<string> | undefined {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return undefined
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()))
}
