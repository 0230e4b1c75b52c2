/** Whoever sends the requests: sockets that stay open, one request at a time on each, as fast as they are answered. */
import { connect } from 'node:net'
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
        const { hostname, port, pathname } = new URL(url)
        const head = `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAccept: application/json\r\nAuthorization: Bearer `
        const begin = performance.now()
        let sent = 0
        const request = () => {
          if (sent >= requests || performance.now() - begin >= time) return undefined
          sent += 1
          return `${head}${next()}\r\n\r\n`
        }
        await Promise.all(
          Array.from({ length: sockets }, async () => converse(hostname, Number(port), request, status)),
        )
        return { requests: sent, seconds: (performance.now() - begin) / 1_000 }
      },
    },
  }
})

/** One socket, until there is nothing more to send. Rejects when an answer has another status. */
async function converse(
  host: string,
  port: number,
  request: () => string | undefined,
  status: number,
): Promise<void> {
  const socket = connect({ host, port, noDelay: true })
  await new Promise<void>((resolve, reject) => {
    let answer = ''
    const send = () => {
      const next = request()
      if (next === undefined) socket.end()
      else socket.write(next, 'latin1')
    }
    socket.setEncoding('latin1')
    socket.on('connect', send)
    socket.on('data', (chunk: string) => {
      answer = answer === '' ? chunk : answer + chunk
      if (!isWhole(answer)) return
      if (Number(answer.slice(9, 12)) !== status) {
        reject(new Error(`${status} was expected, and this came: ${answer}`))
        socket.destroy()
        return
      }
      answer = ''
      send()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve())
  })
}

const lengthHeader = '\r\nContent-Length: '

function isWhole(answer: string): boolean {
  const end = answer.indexOf('\r\n\r\n')
  if (end === -1) return false
  const at = answer.search(/\r\ncontent-length: /i)
  const length = at === -1 ? 0 : Number.parseInt(answer.slice(at + lengthHeader.length), 10)
  return answer.length >= end + 4 + length
}
