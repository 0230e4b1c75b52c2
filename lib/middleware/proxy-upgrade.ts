/** WebSockets of a page through the proxy: asked for with the user's token, and tunnelled when the API has agreed. */

import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { isOAuthError, OAuthError } from '../errors.js'
import { incomingDPoPAnswer } from '../oauth/dpop-answer.js'
import { originalUrl } from '../original-url.js'
import { passAnswer } from '../proxy/answer.js'
import { requestHeaders, responseHeaders } from '../proxy/headers.js'
import { createTunnels, join, onGone, type TunnelAnswer, type TunnelEnd } from '../proxy/tunnel.js'
import type { UpstreamAddress, UpstreamUrls } from '../proxy/upstream-url.js'
import { handshakeHeaders, isAccepted } from '../proxy/web-socket.js'
import { exchanged } from '../tokens/api-exchange.js'
import { answerUpgrade, switchProtocols, upgradeResponse } from '../upgrade-response.js'
import type { BrowserSource } from './auth.js'
import type { ProxySettings, WebSocketSettings } from './oauth-proxy-options.js'
import type { ProxyTokens } from './proxy-tokens.js'
import type { UpgradeHandler } from './upgrades.js'

export interface ProxyUpgradeOptions {
  settings: ProxySettings
  urls: UpstreamUrls
  tokensFor: ProxyTokens
  /** Of each request to the API, as a header list. */
  fixedHeaders: readonly string[]
}

/** What the API said to the user of a session, or to nobody in particular. */
interface Opened extends TunnelAnswer {
  readonly source: BrowserSource
}

export function proxyUpgrade(options: ProxyUpgradeOptions): UpgradeHandler {
  const { settings, urls, tokensFor, fixedHeaders } = options
  const { webSockets, methods, dropped, passSetCookie } = settings
  if (!webSockets) return () => false
  const openTunnel = createTunnels(settings)

  const open = async (req: IncomingMessage, address: UpstreamAddress, gone: AbortSignal): Promise<Opened> => {
    if (!methods.has('GET'))
      throw new OAuthError('method_not_allowed', { headers: { allow: [...methods].join(', ') } })
    const handshake = handshakeHeaders(req)
    const source = await webSockets.source(req, webSockets.options)
    const tokens = await tokensFor(source)
    const token = await tokens?.token()
    const passed = requestHeaders(req.rawHeaders, req.headers.connection, dropped)
    const headers = [...fixedHeaders, ...passed, ...handshake]
    const send = async (shown: Readonly<Record<string, string>> = {}) =>
      openTunnel({ path: address.path, headers: headers.concat(...Object.entries(shown)) }, gone)
    const opened = await (token && tokens
      ? exchanged(token, tokens, {
          request: { method: 'GET', url: address.url },
          send,
          said: ({ answer }) => incomingDPoPAnswer(answer),
          isRepeatable: () => !gone.aborted,
          discard: ({ answer }) => answer.resume(),
        })
      : send())
    return { ...opened, source }
  }

  const pass = (
    { answer, source }: Opened,
    end: TunnelEnd,
    req: IncomingMessage,
    { socket, head }: TunnelEnd,
  ): void => {
    if (!isAccepted(answer, req)) {
      end.socket.destroy()
      throw notRead()
    }
    const res = upgradeResponse(req)
    const list = responseHeaders(answer.rawHeaders, answer.headers.connection, { passSetCookie })
    for (let index = 0; index + 1 < list.length; index += 2) {
      const [name = '', value = ''] = [list[index], list[index + 1]]
      if (/^(sec-websocket-.*|set-cookie)$/i.test(name)) res.appendHeader(name, value)
    }
    res.setHeader('connection', 'Upgrade')
    res.setHeader('upgrade', 'websocket')
    if (!switchProtocols(req, socket)) {
      end.socket.destroy()
      socket.destroy()
      return
    }
    join({ socket, head }, end)
    if (settings.token.startsWith('user') && source.peek()) cutOffAtEnd(req, socket, webSockets)
  }

  return (req, socket, head) => {
    upgradeResponse(req) // from now on an error of the socket does not end the process
    const refuse = (error: unknown) => webSockets.login.refuseUpgrade(req, socket, error)
    let address: UpstreamAddress | undefined
    try {
      address = urls.upstream(originalUrl(req))
    } catch (error) {
      refuse(error)
      return true
    }
    if (address === undefined) return false
    const answerOf = { urls, address, passSetCookie, cacheControl: undefined }
    const client = new AbortController()
    const stopWaiting = onGone(socket, () => client.abort())
    open(req, address, client.signal)
      .finally(stopWaiting)
      .then((opened) => {
        if (opened.end) pass(opened, opened.end, req, { socket, head })
        else {
          const { answer } = opened
          socket.once('close', () => answer.destroy())
          answerUpgrade(req, socket, (res) => passAnswer(answer, res, answerOf))
        }
      })
      .catch((error: unknown) => {
        if (client.signal.aborted) socket.destroy()
        else refuse(error)
      })
    return true
  }
}

/** The API has seen the token once, at the beginning. Whether the session lives on is for us to tell. */
function cutOffAtEnd(
  req: IncomingMessage,
  socket: Duplex,
  { source, options, confirmEvery }: WebSocketSettings,
): void {
  if (confirmEvery === 0) return
  const confirm = async () => {
    try {
      await (await source(req, options)).confirm()
    } catch (error) {
      // What cannot be known just now ends nothing.
      if (isOAuthError(error) && error.status < 500) socket.destroy()
    }
  }
  const timer = setInterval(() => void confirm(), confirmEvery * 1000)
  timer.unref()
  socket.once('close', () => clearInterval(timer))
}

function notRead(): OAuthError {
  return new OAuthError('upstream_unavailable', {
    message: 'oauthProxy: the API answered 101 to a handshake of a WebSocket that it has not read',
    reason: 'not_a_websocket',
    hint: 'Does a server between here and the API answer in its place?',
  })
}
