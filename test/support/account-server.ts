/** A provider of accounts: it knows each access token's account, and does what a test tells it to. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { listening, stopped } from './listening.js'

export interface AccountServer {
  readonly url: string
  /** Each request, in the order of arrival. */
  readonly requests: readonly AccountRequest[]
  /** What was asked there: `/me`, `/token` or `/revoke`. */
  count(path: string): number
  /** Tokens that were revoked. */
  readonly revoked: readonly string[]
  /** From now on answers a path in this way; by itself again without one. It may wait, and nothing is sent for `hang`. */
  answer(path: string, answer?: AnswerOf): void
  close(): Promise<void>
}

export interface AccountRequest {
  readonly path: string
  /** Milliseconds of the monotonic clock. */
  readonly at: number
  /** Of the token with which, or for which, it was made; the generation is behind the dot. */
  readonly account: string
  readonly token: string
}

export type Answer = 'hang' | number | { readonly status?: number; readonly body: unknown }

/** Nothing: as by itself. */
type AnswerOf = (request: AccountRequest) => Answer | undefined | Promise<Answer | undefined>

export async function startAccountServer(): Promise<AccountServer> {
  const requests: AccountRequest[] = []
  const revoked: string[] = []
  const answers = new Map<string, AnswerOf>()

  function byItself({ path, account, token }: AccountRequest): Answer {
    if (path === '/me') return { body: { id: account, name: `Mx ${account}` } }
    if (path === '/revoke') {
      revoked.push(token)
      return 200
    }
    const generation = Number(token.split('.')[1]) + 1
    return {
      body: {
        access_token: `access-${account}.${generation}`,
        refresh_token: `refresh-${account}.${generation}`,
        token_type: 'Bearer',
        expires_in: 3_600,
      },
    }
  }

  async function respond(req: IncomingMessage, res: ServerResponse): Promise<void> {
    let body = ''
    for await (const chunk of req) body += String(chunk)
    const form = new URLSearchParams(body)
    const bearer = /^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1]
    const token = bearer ?? form.get('token') ?? form.get('refresh_token') ?? ''
    const account = /^(?:access|refresh)-([^.]*)/.exec(token)?.[1] ?? ''
    const path = new URL(req.url ?? '', 'http://any').pathname
    const request = { path, at: performance.now(), account, token }
    requests.push(request)
    const answer = (await answers.get(path)?.(request)) ?? byItself(request)
    if (answer === 'hang') return
    const { status = 200, body: sent } = typeof answer === 'number' ? { status: answer, body: {} } : answer
    res.writeHead(status, { 'content-type': 'application/json' })
    res.end(typeof sent === 'string' ? sent : JSON.stringify(sent))
  }

  const server = createServer((req, res) => void respond(req, res))
  const url = await listening(server)
  return {
    url,
    requests,
    revoked,
    count: (path) => requests.filter((request) => request.path === path).length,
    answer(path, answer) {
      if (answer) answers.set(path, answer)
      else answers.delete(path)
    },
    close: () => stopped(server),
  }
}
