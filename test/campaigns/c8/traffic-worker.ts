/** Whoever sends requests to the API, good ones or junk, at a rate that is asked for. */
import { setTimeout as sleep } from 'node:timers/promises'
import { randomFrom } from '../support/campaign.js'
import { converse } from '../support/conversation.js'
import { quantile } from '../support/quantile.js'
import { serveCommands } from '../support/worker.js'
import { bearer, junkMakers, type Target } from './junk.js'

export interface TrafficWorker {
  readonly args: { readonly target: Target; readonly seed: number; readonly goodTokens: readonly string[] }
  readonly ready: undefined
  readonly commands: {
    send(traffic: Traffic): Promise<Answers>
  }
}

export interface Traffic {
  readonly url: string
  /** `good`, a kind of junk, or all kinds of it in turn. */
  readonly kind: string
  /** Requests per second; as many as are answered without it. */
  readonly rate?: number
  readonly seconds?: number
  readonly requests?: number
  readonly sockets: number
}

export interface Answers {
  readonly count: number
  readonly perSecond: number
  /** How many came with each status. */
  readonly statuses: Readonly<Record<string, number>>
  /** Milliseconds. */
  readonly p99: number
}

void serveCommands<TrafficWorker>(async ({ target, seed, goodTokens }) => {
  const junk = junkMakers(target, randomFrom(seed))

  function headersOf(kind: string): (index: number) => string {
    if (kind === 'good') return (index) => bearer(goodTokens[index % goodTokens.length] ?? '')
    const makers = kind === 'junk' ? Object.values(junk) : [junk[kind]]
    return (index) => makers[index % makers.length]?.() ?? ''
  }

  return {
    ready: undefined,
    commands: {
      async send({ url, kind, rate, seconds = Infinity, requests = Infinity, sockets }) {
        const { hostname: host, port, pathname } = new URL(url)
        const headers = headersOf(kind)
        const times: number[] = []
        const statuses: Record<string, number> = {}
        let count = 0
        const begin = performance.now()
        const end = begin + seconds * 1_000
        const next = async () => {
          const index = count
          if (index >= requests || performance.now() >= end) return undefined
          count += 1
          const early = rate === undefined ? 0 : begin + (index * 1_000) / rate - performance.now()
          if (early > 0) await sleep(early)
          return `GET ${pathname} HTTP/1.1\r\nHost: ${host}:${port}\r\n${headers(index)}\r\n`
        }
        const answered = (status: number, took: number) => {
          statuses[status] = (statuses[status] ?? 0) + 1
          times.push(took)
        }
        await Promise.all(
          Array.from({ length: sockets }, async () => converse({ host, port: Number(port), next, answered })),
        )
        const took = (performance.now() - begin) / 1_000
        return { count, perSecond: Math.round(count / took), statuses, p99: quantile(times, 0.99) }
      },
    },
  }
})
