/** One socket that stays open, one request at a time: the least that a load generator can be. */
import { connect } from 'node:net'

export interface Conversation {
  readonly host: string
  readonly port: number
  /** The next request with its headers; nothing when there is none any more. */
  next(): string | undefined | Promise<string | undefined>
  /** Is told the status of each answer, and the milliseconds that it took. */
  answered(status: number, took: number): void
}

/** Resolves when there is nothing more to say. Rejects when the other side ends it first. */
export async function converse({ host, port, next, answered }: Conversation): Promise<void> {
  const socket = connect({ host, port, noDelay: true })
  await new Promise<void>((resolve, reject) => {
    let answer = ''
    let begin = 0
    let isDone = false
    const say = (request: string | undefined) => {
      begin = performance.now()
      isDone = request === undefined
      if (request === undefined) socket.end()
      else socket.write(request, 'latin1')
    }
    const sayNext = () => {
      const request = next()
      if (request instanceof Promise) request.then(say).catch(reject)
      else say(request)
    }
    socket.setEncoding('latin1')
    socket.on('connect', sayNext)
    socket.on('data', (chunk: string) => {
      answer = answer === '' ? chunk : answer + chunk
      if (!isWhole(answer)) return
      answered(Number(answer.slice(9, 12)), performance.now() - begin)
      answer = ''
      sayNext()
    })
    socket.on('error', reject)
    socket.on('close', () => {
      if (isDone) resolve()
      else reject(new Error(`the connection was closed after ${JSON.stringify(answer)}`))
    })
  })
}

const lengthHeader = '\r\ncontent-length: '

function isWhole(answer: string): boolean {
  const end = answer.indexOf('\r\n\r\n')
  if (end === -1) return false
  const at = answer.search(/\r\ncontent-length: /i)
  const length = at === -1 ? 0 : Number.parseInt(answer.slice(at + lengthHeader.length), 10)
  return answer.length >= end + 4 + length
}
