/** What others do, as it happens: server-sent events through the proxy. */

import { api } from '../api.js'

/** Milliseconds. */
const longestPause = 30_000

/**
 * Tells of each event until `signal` says stop. `EventSource` cannot send the header that proves where a request comes
 * from; a `fetch` that is read as it arrives can.
 */
export async function follow(path, signal, tell) {
  let pause = 1000
  while (!signal.aborted) {
    try {
      const answer = await api(path, { headers: { Accept: 'text/event-stream' }, signal })
      if (answer.ok) {
        pause = 1000
        for await (const event of events(answer.body)) tell(event)
      }
    } catch (error) {
      if (error.signIn) return
    }
    await new Promise((resolve) => setTimeout(resolve, pause))
    pause = Math.min(2 * pause, longestPause)
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const blocks = (text + value).split('\n\n')
    text = blocks.pop()
    for (const block of blocks) {
      const data = block.split('\n').filter((line) => line.startsWith('data: '))
      if (data.length > 0) yield JSON.parse(data.map((line) => line.slice(6)).join('\n'))
    }
  }
}
