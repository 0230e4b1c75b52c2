/** A Backend for Frontend: what a page asks of an API goes through this server, which adds the access token. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { asError } from '../app-answer.js'
import { OAuthError } from '../errors.js'
import { incomingDPoPAnswer } from '../oauth/dpop-answer.js'
import { originalUrl } from '../original-url.js'
import { passAnswer } from '../proxy/answer.js'
import { requestHeaders } from '../proxy/headers.js'
import { requestBody } from '../proxy/request-body.js'
import { createUpstream } from '../proxy/upstream.js'
import { upstreamUrls, type UpstreamAddress } from '../proxy/upstream-url.js'
import { exchanged } from '../tokens/api-exchange.js'
import { browserSource, type BrowserSource } from './auth.js'
import { checkedProxyOptions, proxyOptionChecks, type OAuthProxyOptions } from './oauth-proxy-options.js'
import { proxyTokens } from './proxy-tokens.js'
import { proxyUpgrade } from './proxy-upgrade.js'
import type { Middleware } from './request.js'
import type { UpgradeHandler } from './upgrades.js'

/** The middleware, and what lets WebSockets through. */
export interface OAuthProxy extends Middleware {
  /**
   * For `server.on('upgrade', upgradeListener(proxy.upgrade))`. False for paths that are not below the prefix, and for all
   * paths without the option `webSockets`. Never throws.
   */
  readonly upgrade: UpgradeHandler
}

/**
 * Mount it behind `oauthLogin`, and before parsers of bodies. Requests below `prefix` are answered by the API at `target`,
 * all others pass. Throws `invalid_configuration` for options that cannot work.
 */
export function oauthProxy(options: OAuthProxyOptions): OAuthProxy {
  const check = proxyOptionChecks(options)
  const settings = checkedProxyOptions(options, check)
  const urls = upstreamUrls(settings.prefix, settings.target)
  const upstream = createUpstream(settings)
  const tokensFor = proxyTokens(settings, check)
  const { methods, csrf, dropped, passSetCookie } = settings
  const allow = [...methods].join(', ')
  // They speak of the bytes that came, which a parser has unpacked.
  const droppedOfParsed = new Set([...dropped, 'content-encoding', 'content-digest', 'content-md5', 'digest'])
  const fixedHeaders = ['host', new URL(settings.target).host, ...settings.headers]

  async function forward(
    req: IncomingMessage,
    res: ServerResponse,
    source: BrowserSource,
    address: UpstreamAddress,
  ): Promise<void> {
    const { method = '' } = req
    if (!methods.has(method)) throw new OAuthError('method_not_allowed', { headers: { allow } })
    if (res.headersSent || res.writableEnded) throw answeredBefore()
    const cacheControl = res.getHeader('cache-control')
    source.checkCsrf(csrf)
    const tokens = await tokensFor(source)
    const token = await tokens?.token()
    const body = requestBody(req)
    const isRepeatable = body.content !== req
    const notPassed = Buffer.isBuffer(body.content) ? droppedOfParsed : dropped
    const headers = [
      ...fixedHeaders,
      ...requestHeaders(req.rawHeaders, req.headers.connection, notPassed),
      ...body.framing,
    ]

    const send = async (shown?: Readonly<Record<string, string>>) =>
      upstream.send(
        {
          method,
          path: address.path,
          headers: shown ? headers.concat(...Object.entries(shown)) : headers,
          body: body.content,
        },
        res,
      )

    if (res.destroyed || req.socket.destroyed) return
    const answer = await (token && tokens
      ? exchanged(token, tokens, {
          request: { method, url: address.url },
          send,
          said: incomingDPoPAnswer,
          isRepeatable: () => isRepeatable && !res.destroyed,
          discard: (refused) => refused.resume(),
        })
      : send())
    passAnswer(answer, res, { urls, address, cacheControl, passSetCookie })
  }

  const middleware: Middleware = (req, res, next) => {
    const source = browserSource(req)
    const refuse = (error: unknown) => {
      if (res.destroyed) return
      if (source) source.refuse(asError(error, 'oauthProxy'), req, res, next)
      else next(error)
    }
    let address: UpstreamAddress | undefined
    try {
      address = urls.upstream(originalUrl(req))
    } catch (error) {
      refuse(error)
      return
    }
    if (address === undefined) next()
    else if (!source) next(notMounted())
    // A mistake on the way to an answer must not leave the request open.
    else forward(req, res, source, address).catch(refuse).catch(next)
  }
  return Object.assign(middleware, { upgrade: proxyUpgrade({ settings, urls, tokensFor, fixedHeaders }) })
}

function notMounted(): OAuthError {
  return new OAuthError('invalid_configuration', {
    message: 'oauthProxy: oauthLogin has not seen this request; mount it with app.use() before the proxy',
  })
}

function answeredBefore(): OAuthError {
  return new OAuthError('invalid_configuration', {
    message: 'oauthProxy: this request has been answered before it came here',
    hint: 'A handler before it has answered and called next() nevertheless.',
  })
}
