/** Whoever sends the requests: sockets that stay open, one request at a time on each, as fast as they are answered. */
import { converse } from '../test/campaigns/support/conversation.js'
import { serveCommands } from '../test/campaigns/support/worker.js'
import { algorithms, junkMakers, tokenMaker, type Algorithm, type Keys } from './tokens.js'

export interface LoadWorker {
  readonly args: { readonly issuer: string; readonly keys: Keys }
  readonly ready: undefined
  readonly commands: {
    /** Makes the tokens, unless that many of this kind are there already. */
    prepare(tokens: Tokens): void
    /** Takes texts that were made elsewhere, such as cookies, by the name of their kind. */
    keep(texts: { readonly kind: string; readonly texts: readonly string[] }): void
    drive(drive: Drive): Promise<Driven>
  }
}

/** Good ones by their algorithm, junk by its name, or others by the name they were kept by; so many take turns. */
export interface Tokens {
  readonly kind: string
  readonly count: number
}

/** What a request is beside its token. */
export interface Shape {
  /** Default `GET`. */
  readonly method?: string
  /** What the token stands behind. Default `Authorization: Bearer `. */
  readonly before?: string
  /** Lines that each request has as well. */
  readonly headers?: readonly string[]
  /** Bytes of a body. Default none. */
  readonly body?: number
  /** Connections. Default 16. */
  readonly sockets?: number
}

export interface Drive {
  readonly url: string
  /** Which to send; or `fresh` ones without end, made as they are sent. */
  readonly tokens?: Tokens
  readonly fresh?: Algorithm
  readonly shape?: Shape
  /** Milliseconds; no end without it. */
  readonly time?: number
  /** Requests; no end without it. */
  readonly requests?: number
  readonly status: number
}

export interface Driven {
  readonly requests: number
  readonly seconds: number
  /** Milliseconds that one of a hundred answers took at least. */
  readonly p99: number
}

void serveCommands<LoadWorker>(async ({ issuer, keys }) => {
  const made = new Map<string, string[]>()
  const turns = new Map<string, number>()

  function prepare({ kind, count }: Tokens): void {
    const tokens = made.get(kind) ?? []
    made.set(kind, tokens)
    const next = kind.startsWith('junk: ')
      ? junkMakers(issuer, keys)[kind.slice(6)]
      : isAlgorithm(kind)
        ? tokenMaker(issuer, kind, keys).next
        : undefined
    if (tokens.length >= count) return
    if (!next) throw new Error(`there is no ${kind}`)
    while (tokens.length < count) tokens.push(next())
  }

  /** Goes on where it stopped, so that not each slice begins with the same ones. */
  function inTurn(tokens: Tokens = { kind: 'RS256', count: 1 }): () => string {
    prepare(tokens)
    const all = (made.get(tokens.kind) ?? []).slice(0, tokens.count)
    return () => {
      const turn = ((turns.get(tokens.kind) ?? 0) + 1) % all.length
      turns.set(tokens.kind, turn)
      return all[turn] ?? ''
    }
  }

  return {
    ready: undefined,
    commands: {
      prepare,
      keep: ({ kind, texts }) => void made.set(kind, [...texts]),
      async drive({ url, tokens, fresh, shape = {}, time = Infinity, requests = Infinity, status }) {
        const {
          method = 'GET',
          before = 'Authorization: Bearer ',
          headers = [],
          body = 0,
          sockets = 16,
        } = shape
        const next = fresh ? tokenMaker(issuer, fresh, keys).next : inTurn(tokens)
        const { hostname: host, port, pathname } = new URL(url)
        const lines = [...headers, ...(body > 0 ? [`Content-Length: ${body}`] : [])]
        const head = [
          `${method} ${pathname} HTTP/1.1`,
          `Host: ${host}:${port}`,
          'Accept: application/json',
          ...lines,
        ]
        const start = `${head.join('\r\n')}\r\n${before}`
        const end = `\r\n\r\n${'x'.repeat(body)}`
        const times: number[] = []
        const begin = performance.now()
        let sent = 0
        const request = () => {
          if (sent >= requests || performance.now() - begin >= time) return undefined
          sent += 1
          return start + next() + end
        }
        const answered = (answer: number, took: number) => {
          if (answer !== status) throw new Error(`${status} was expected, and ${answer} came`)
          times.push(took)
        }
        await Promise.all(
          Array.from({ length: sockets }, async () =>
            converse({ host, port: Number(port), next: request, answered }),
          ),
        )
        const seconds = (performance.now() - begin) / 1_000
        times.sort((a, b) => a - b)
        return { requests: sent, seconds, p99: times[Math.floor(times.length * 0.99)] ?? Number.NaN }
      },
    },
  }
})

function isAlgorithm(kind: string): kind is Algorithm {
  return (algorithms as readonly string[]).includes(kind)
}
