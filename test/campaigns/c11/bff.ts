/** An API, an authorization server and the Backend for Frontend between them, and a browser that is signed in. */
import { openBrowser, type Browser } from '../../support/browser.js'
import { startFaultyServer } from '../../support/faulty-server.js'
import { cookieHeader } from '../../support/requests.js'
import { signIn } from '../support/sign-in.js'
import { startWorker, type Worker } from '../support/workers.js'
import { startStreamingApi, type StreamingApi } from './api.js'
import type { BffWorker } from './bff-worker.js'

export interface Bff {
  readonly url: string
  readonly worker: Worker<BffWorker>
  readonly api: StreamingApi
  readonly browser: Browser
  /** Of the browser. */
  readonly cookie: string
  close(): Promise<void>
}

export async function startBff(): Promise<Bff> {
  const [api, server] = await Promise.all([startStreamingApi(), startFaultyServer()])
  const { issuer, clientId, clientSecret } = server
  const entry = new URL('bff-worker.ts', import.meta.url)
  const worker = await startWorker<BffWorker>(entry, { issuer, clientId, clientSecret, target: api.url })
  const url = worker.ready
  server.register(`${url}/callback`, `${url}/`)
  const browser = openBrowser()
  await signIn(browser, `${url}/me`)
  return {
    url,
    worker,
    api,
    browser,
    cookie: await cookieHeader(browser, url),
    async close() {
      await worker.stop()
      await Promise.all([server.close(), api.close()])
    },
  }
}
