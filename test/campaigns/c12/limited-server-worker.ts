/**
 * A token endpoint in a process of its own that takes its time and limits how often it may be asked: so many requests a
 * second, and as many at once after a rest. Refresh tokens rotate, and a spent one is refused. There is no other endpoint.
 */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { listening } from '../../support/listening.js'
import { serveCommands } from '../support/worker.js'

export interface LimitedServerWorker {
  readonly args: undefined
  /** Its origin. */
  readonly ready: string
  readonly commands: {
    /** From now on limits requests in this way, or not at all, and counts anew. */
    limit(limit?: Limit): void
    /** What was seen since then. */
    seen(): Seen
  }
}

interface Limit {
  readonly perSecond: number
  /** Milliseconds that each answer takes. */
  readonly latency: number
}

interface Seen {
  readonly refreshes: number
  readonly limited: number
  /** Refresh tokens that had been used. */
  readonly spent: number
  readonly mostInFlight: number
}

/** Seconds that access tokens live. */
export const life = 3_600
const nothing = { refreshes: 0, limited: 0, spent: 0, mostInFlight: 0 }

void serveCommands<LimitedServerWorker>(async () => {
  const server = createServer()
  server.keepAliveTimeout = 0
  const good = new Set<string>()
  let limit: Limit | undefined
  let seen = { ...nothing }
  let bucket = 0
  let filledAt = 0
  let inFlight = 0

  function isWithinLimit({ perSecond }: Limit): boolean {
    const now = performance.now()
    bucket = Math.min(perSecond, bucket + ((now - filledAt) / 1_000) * perSecond)
    filledAt = now
    if (bucket < 1) return false
    bucket -= 1
    return true
  }

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    inFlight += 1
    seen.mostInFlight = Math.max(seen.mostInFlight, inFlight)
    let form = ''
    for await (const chunk of req) form += String(chunk)
    const isLimited = limit !== undefined && !isWithinLimit(limit)
    if (limit) await sleep(limit.latency)
    inFlight -= 1
    if (isLimited) {
      seen.limited += 1
      res.writeHead(429, { 'retry-after': '1' }).end()
      return
    }
    const spent = new URLSearchParams(form).get('refresh_token')
    if (spent !== null) seen.refreshes += 1
    if (spent !== null && !good.delete(spent)) {
      seen.spent += 1
      sendJson(res, 400, { error: 'invalid_grant' })
      return
    }
    const refreshToken = randomUUID()
    good.add(refreshToken)
    sendJson(res, 200, {
      access_token: randomUUID(),
      token_type: 'Bearer',
      expires_in: life,
      refresh_token: refreshToken,
    })
  }

  server.on('request', (req, res) => void answer(req, res))
  return {
    ready: await listening(server),
    commands: {
      limit(next) {
        limit = next
        bucket = next?.perSecond ?? 0
        filledAt = performance.now()
        seen = { ...nothing }
      },
      seen: () => seen,
    },
  }
})

function sendJson(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
