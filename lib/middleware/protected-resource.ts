/** Tells clients where to get tokens for a resource: its metadata at the well-known location (RFC 9728 §3). */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { OAuthError } from '../errors.js'
import { checkOptions } from '../options.js'
import {
  describedResource,
  knownResourceOptions,
  resourceMetadata,
  wellKnownPath,
  type ProtectedResourceOptions,
  type ResourceDescription,
} from '../resource/resource-metadata.js'
import { requestPath, sendJson, type Middleware } from './request.js'

/** The middleware, and what it says, for guards and verifiers. */
export interface ProtectedResource extends Middleware, ResourceDescription {}

/** Seconds for which a client need not ask again. */
const freshFor = 300

const allow = 'GET, HEAD, OPTIONS'

/**
 * Describes a resource to clients. Mount it at the root of the app, before all guards and whatever answers every path: the
 * location is made from the path of the resource, and clients have no token yet when they ask. The same location without
 * that path is for clients that know only one resource per host; of several resources the one that is mounted first
 * answers there, so one whose URL has no path of its own comes first. Pass the result to `oauthBearer` or `createVerifier`
 * as `protectedResource`, so that what clients are told and what is checked cannot differ.
 * Throws `invalid_configuration` for options that cannot work.
 */
export function protectedResource(options: ProtectedResourceOptions): ProtectedResource {
  const check = checkOptions('protectedResource', options, knownResourceOptions)
  const description = describedResource(options, check)
  const document = JSON.stringify(resourceMetadata(options, description, check))
  const locations = locationsOf(description)

  const middleware: Middleware = (req, res, next) => {
    if (isMountedBelowRoot(req)) next(mountedBelowRoot())
    else if (locations.has(requestPath(req))) answer(req, res, document)
    else next()
  }
  return Object.assign(middleware, description)
}

/** Its own location and that of the host, each with and without a slash at the end. */
function locationsOf({ metadataUrl }: ResourceDescription): ReadonlySet<string> {
  const { pathname } = new URL(metadataUrl)
  const own = pathname.endsWith('/') ? pathname.slice(0, -1) : pathname
  return new Set([own, wellKnownPath].flatMap((path) => [path, `${path}/`]))
}

function answer(req: IncomingMessage, res: ServerResponse, document: string): void {
  // It holds no secret, and pages of any site may be clients.
  res.setHeader('access-control-allow-origin', '*')
  if (req.method === 'GET' || req.method === 'HEAD') {
    res.statusCode = 200
    res.setHeader('content-type', 'application/json; charset=utf-8')
    res.setHeader('content-length', Buffer.byteLength(document))
    res.setHeader('cache-control', `public, max-age=${freshFor}`)
    res.setHeader('x-content-type-options', 'nosniff')
    res.end(document)
  } else if (req.method === 'OPTIONS') {
    res.statusCode = 204
    res.setHeader('allow', allow)
    res.setHeader('access-control-allow-methods', allow)
    // The asterisk does not stand for Authorization (Fetch §4.9), and not at all for old browsers.
    res.setHeader('access-control-allow-headers', 'Authorization, Content-Type, MCP-Protocol-Version, *')
    res.setHeader('access-control-max-age', '7200')
    res.end()
  } else {
    res.setHeader('allow', allow)
    sendJson(res, 405, new OAuthError('method_not_allowed'))
  }
}

/** Below another path nobody can ever ask for a location that begins at the root. Express tells. */
function isMountedBelowRoot(req: IncomingMessage): boolean {
  return 'baseUrl' in req && typeof req.baseUrl === 'string' && req.baseUrl !== ''
}

function mountedBelowRoot(): OAuthError {
  const hint = `Mount it with app.use(…), without a path: clients ask for ${wellKnownPath} at the root.`
  return new OAuthError('invalid_configuration', {
    message: 'protectedResource is mounted below a path, where clients never look for it',
    hint,
  })
}
