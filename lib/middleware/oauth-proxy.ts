/** A Backend for Frontend: what a page asks of an API goes through this server, which adds the access token. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { asError } from '../app-answer.js'
import { OAuthError } from '../errors.js'
import { originalUrl } from '../original-url.js'
import { passAnswer } from '../proxy/answer.js'
import { requestHeaders } from '../proxy/headers.js'
import { requestBody } from '../proxy/request-body.js'
import { createUpstream } from '../proxy/upstream.js'
import { upstreamUrls, type UpstreamAddress } from '../proxy/upstream-url.js'
import type { ApiToken } from '../tokens/api-token.js'
import { browserSource, type BrowserSource } from './auth.js'
import { checkedProxyOptions, proxyOptionChecks, type OAuthProxyOptions } from './oauth-proxy-options.js'
import { proxyTokens, type RequestTokens } from './proxy-tokens.js'
import type { Middleware } from './request.js'

/**
 * Mount it behind `oauthLogin`, and before parsers of bodies. Requests below `prefix` are answered by the API at `target`,
 * all others pass. Throws `invalid_configuration` for options that cannot work.
 */
export function oauthProxy(options: OAuthProxyOptions): Middleware {
  const check = proxyOptionChecks(options)
  const settings = checkedProxyOptions(options, check)
  const urls = upstreamUrls(settings.prefix, settings.target)
  const upstream = createUpstream(settings)
  const tokensFor = proxyTokens(settings, check)
  const { methods, csrf, dropped, passSetCookie } = settings
  const allow = [...methods].join(', ')
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
    const headers = [
      ...fixedHeaders,
      ...requestHeaders(req.rawHeaders, req.headers.connection, dropped),
      ...body.framing,
    ]
    const isRepeatable = body.content !== req

    const sendOnce = (shown: ApiToken | undefined) =>
      upstream.send(
        {
          method,
          path: address.path,
          headers: shown
            ? headers.concat(...Object.entries(shown.headers({ method, url: address.url })))
            : headers,
          body: body.content,
        },
        res,
      )
    const send = async (shown: ApiToken) => {
      const answer = await sendOnce(shown)
      const nonce = oneOf(answer.headers['dpop-nonce'])
      const request = { method, url: address.url }
      const isWanted = shown.wantsAnotherProof(request, { status: answer.statusCode ?? 0, nonce })
      if (!isWanted || !isRepeatable) return answer
      answer.resume()
      return sendOnce(shown)
    }
    const sendWithToken = async (shown: ApiToken, { inPlaceOf }: RequestTokens) => {
      const answer = await send(shown)
      if (answer.statusCode !== 401) return answer
      // Also where the body is spent: the next request has the other token.
      const another = await inPlaceOf(shown)
      if (another === undefined || !isRepeatable || res.destroyed) return answer
      answer.resume()
      return send(another)
    }

    if (res.destroyed) return
    const answer = await (token && tokens ? sendWithToken(token, tokens) : sendOnce(undefined))
    passAnswer(answer, res, { urls, address, cacheControl, passSetCookie })
  }

  return (req, res, next) => {
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
}

function oneOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
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
