/** What remembered tokens take, and that a flood of them leaves nothing behind. */
import { startWorker, type Worker } from '../test/campaigns/support/workers.js'
import { pin } from './bout.js'
import type { Setting } from './contestants.js'
import type { LoadWorker } from './load-worker.js'
import type { ServerWorker } from './server-worker.js'

export interface MemoryOptions {
  readonly setting: Setting
  readonly load: Worker<LoadWorker>
  /** Others that come after those that are remembered. */
  readonly flood: number
}

/** Tokens that a guard remembers by default. */
const remembered = 20_000
const mb = (bytes: number) => `${(bytes / 1_000_000).toFixed(1)} MB`

export async function measureMemory({ setting, load, flood }: MemoryOptions): Promise<string[]> {
  const server = await startWorker<ServerWorker>(new URL('server-worker.ts', import.meta.url), {
    names: ['oauthBearer'],
    setting,
  })
  const [url = ''] = server.ready
  const fresh = async (requests: number) =>
    load.call('drive', { url, fresh: setting.algorithm, requests, status: 200 })
  try {
    await pin(server.pid, 0)
    // The same few first, until all code is compiled.
    await load.call('drive', {
      url,
      tokens: { kind: setting.algorithm, count: 10 },
      requests: 20_000,
      status: 200,
    })
    const before = await server.call('memory')
    await fresh(remembered)
    const full = await server.call('memory')
    const lines = [
      '',
      `### Memory: ${setting.algorithm}`,
      '',
      `- ${remembered} tokens take ${mb(full.heapUsed - before.heapUsed)} of heap.`,
    ]
    const steps = flood === 0 ? [] : [0.1, 0.25, 0.5, 0.75, 1]
    let sent = 0
    for (const step of steps) {
      await fresh(flood * step - sent)
      sent = flood * step
      const { heapUsed, rss } = await server.call('memory')
      lines.push(
        `- After ${sent} others the heap holds ${mb(heapUsed - before.heapUsed)}, and the process ${mb(rss)}.`,
      )
    }
    return lines
  } finally {
    await server.stop()
  }
}
