/** Plain requests with a cookie, over connections that are kept: many users, at little cost. */
import { Agent, request, type IncomingHttpHeaders } from 'node:http'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly setCookies: readonly string[]
  readonly body: string
  /** Milliseconds that it took. */
  readonly took: number
}

export interface Visitor {
  /** What a script of a page asks for. Rejects when the connection breaks. */
  ask(url: string, cookie: string, headers?: Readonly<Record<string, string>>): Promise<Answer>
  /** Ends the connections that are kept. */
  close(): void
}

export function createVisitor(): Visitor {
  const agent = new Agent({ keepAlive: true })
  const ask: Visitor['ask'] = async (url, cookie, further = {}) =>
    new Promise((resolve, reject) => {
      const start = performance.now()
      const headers = { cookie, accept: 'application/json', 'sec-fetch-mode': 'cors', ...further }
      const sent = request(url, { agent, headers }, (response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (body += chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            setCookies: response.headers['set-cookie'] ?? [],
            body,
            took: performance.now() - start,
          }),
        )
      })
      // As browsers do: a connection that was kept may have ended in the meantime.
      sent.on('error', (error: NodeJS.ErrnoException) => {
        if (sent.reusedSocket && error.code === 'ECONNRESET') resolve(ask(url, cookie, further))
        else reject(Object.assign(error, { message: `${error.message} (${url})` }))
      })
      sent.end()
    })
  return {
    ask,
    close: () => agent.destroy(),
  }
}
