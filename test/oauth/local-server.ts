/** A server on loopback that answers as it is told, remembers what it was asked, and ends with the test. */
import { createServer } from 'node:http'
import { onTestFinished } from 'vitest'
import { send, type Answer } from '../support/faulty-server/answer.js'
import { listening, stopped } from '../support/listening.js'

export interface LocalServer {
  readonly url: string
  /** Method and path of each request, in the order of arrival. */
  readonly requests: readonly string[]
  /** Can be replaced at any time. */
  answer: (path: string) => Answer
}

export async function startLocalServer(answer: (path: string) => Answer): Promise<LocalServer> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    send(response, local.answer(request.url ?? ''))
  })
  const local: LocalServer = { url: await listening(server), requests, answer }
  onTestFinished(() => stopped(server))
  return local
}
