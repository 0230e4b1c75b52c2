/** Whoever sends the requests: sockets that stay open, one request at a time on each, as fast as they are answered. */
import { converse } from '../test/campaigns/support/conversation.js'
import { serveCommands } from '../test/campaigns/support/worker.js'
import { junkMakers, tokenMaker, type Algorithm, type Keys } from './tokens.js'

export interface LoadWorker {
  readonly args: { readonly issuer: string; readonly keys: Keys }
  readonly ready: undefined
  readonly commands: {
    /** Makes the tokens, unless that many of this kind are there already. */
    prepare(tokens: Tokens): void
    drive(drive: Drive): Promise<Driven>
  }
}

/** Good ones by their algorithm, or junk by its name; so many different ones take turns. */
export interface Tokens {
  readonly kind: Algorithm | `junk: ${string}`
  readonly count: number
}

export interface Drive {
  readonly url: string
  /** Which to send; or `fresh` ones without end, made as they are sent. */
  readonly tokens?: Tokens
  readonly fresh?: Algorithm
  /** Milliseconds; no end without it. */
  readonly time?: number
  /** Requests; no end without it. */
  readonly requests?: number
  readonly status: number
}

export interface Driven {
  readonly requests: number
  readonly seconds: number
}

const sockets = 16

void serveCommands<LoadWorker>(async ({ issuer, keys }) => {
  const made = new Map<string, string[]>()
  const turns = new Map<string, number>()

  function prepare({ kind, count }: Tokens): void {
    const tokens = made.get(kind) ?? []
    made.set(kind, tokens)
    const next = kind.startsWith('junk: ')
      ? junkMakers(issuer, keys)[kind.slice(6)]
      : tokenMaker(issuer, kind as Algorithm, keys).next
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
      async drive({ url, tokens, fresh, time = Infinity, requests = Infinity, status }) {
        const next = fresh ? tokenMaker(issuer, fresh, keys).next : inTurn(tokens)
        const { hostname: host, port, pathname } = new URL(url)
        const head = `GET ${pathname} HTTP/1.1\r\nHost: ${host}:${port}\r\nAccept: application/json\r\nAuthorization: Bearer `
        const begin = performance.now()
        let sent = 0
        const request = () => {
          if (sent >= requests || performance.now() - begin >= time) return undefined
          sent += 1
          return `${head}${next()}\r\n\r\n`
        }
        const answered = (answer: number) => {
          if (answer !== status) throw new Error(`${status} was expected, and ${answer} came`)
        }
        await Promise.all(
          Array.from({ length: sockets }, async () =>
            converse({ host, port: Number(port), next: request, answered }),
          ),
        )
        return { requests: sent, seconds: (performance.now() - begin) / 1_000 }
      },
    },
  }
})
