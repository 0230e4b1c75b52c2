/** What our proxy costs, with sessions and CSRF checks on, beside proxies that forward what comes. */
import { startWorker, type Worker } from '../test/campaigns/support/workers.js'
import { startFaultyServer } from '../test/support/faulty-server.js'
import { correctSteps } from '../test/support/faulty-server/steps.js'
import { pin, race, type Effort, type Score } from './bout.js'
import type { LoadWorker, Shape } from './load-worker.js'
import type { ProxyWorker } from './proxy-worker.js'
import { sessionContestants } from './session-contestants.js'
import { cookieOf, sessionCount } from './sessions.js'
import { undisturbed } from './undisturbed.js'
import type { UpstreamWorker } from './upstream-worker.js'

const names = ['httpxy', 'httpxy again', 'httpxy without Express', 'http-proxy-middleware', 'oauthProxy']

const headers = ['X-CSRF: 1', 'Sec-Fetch-Site: same-origin', 'Sec-Fetch-Mode: cors']
const before = 'Cookie: '

export const exchanges: Readonly<Record<string, { readonly path: string; readonly shape: Shape }>> = {
  'GET, 46 bytes of JSON': { path: '/api/projects', shape: { before, headers } },
  'POST, 10 KB': {
    path: '/api/projects',
    shape: { before, method: 'POST', body: 10_240, headers: [...headers, 'Content-Type: text/plain'] },
  },
  'GET, 1 MB': { path: '/api/large', shape: { before, headers } },
}

export interface ProxyRace {
  scores(exchange: keyof typeof exchanges, effort: Effort): Promise<Score[]>
  /** Milliseconds that the slowest of a hundred small requests takes, one at a time, by who answers. */
  latencies(rounds: number): Promise<Readonly<Record<string, number>>>
  stop(): Promise<void>
}

export async function startProxies(load: Worker<LoadWorker>): Promise<ProxyRace> {
  const op = await startFaultyServer({
    clientId: 'client',
    clientSecret: 'secretOfTheClient',
    // No refresh comes between.
    fault: {
      tokenResponse: async (...args) => ({
        ...(await correctSteps.tokenResponse(...args)),
        expires_in: 86_400,
      }),
    },
  })
  const upstream = await startWorker<UpstreamWorker>(new URL('upstream-worker.ts', import.meta.url), null)
  await pin(upstream.pid, 1)
  const { issuer, clientId, clientSecret } = op
  const server = await startWorker<ProxyWorker>(new URL('proxy-worker.ts', import.meta.url), {
    ...{ issuer, clientId, clientSecret },
    target: upstream.ready,
  })
  const own = server.ready.at(-1) ?? ''
  op.register(`${own}/callback`)
  const contestant = sessionContestants['express-oauth-kit']
  const cookies: string[] = []
  while (contestant && cookies.length < sessionCount) cookies.push(await cookieOf(contestant, own))
  const tokens = { kind: 'sessions of the proxy', count: cookies.length }
  await load.call('keep', { kind: tokens.kind, texts: cookies })

  return {
    async scores(exchange, effort) {
      const { path = '', shape = {} } = exchanges[exchange] ?? {}
      const contenders = names.map((name, index) => ({
        name,
        url: `${server.ready[index]}${path}`,
        ...{ tokens, shape, status: 200 },
      }))
      return race(contenders, server, load, effort)
    },

    async latencies(rounds) {
      const ends = { 'the API itself': upstream.ready, httpxy: server.ready[0], oauthProxy: own }
      const slices = Object.entries(ends).map(([name, url]) => ({ name, url, p99: [] as number[] }))
      for (let round = -1; round < rounds; round += 1) {
        for (const { url, p99 } of slices) {
          const shape = { before, headers, sockets: 1 }
          const target = `${url}/api/projects`
          const driven = await load.call('drive', {
            url: target,
            tokens,
            shape,
            requests: 1_000,
            status: 200,
          })
          if (round >= 0) p99.push(driven.p99)
        }
      }
      return Object.fromEntries(slices.map(({ name, p99 }) => [name, undisturbed(p99)]))
    },

    async stop() {
      await server.stop()
      await upstream.stop()
      await op.close()
    },
  }
}
