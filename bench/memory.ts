/** What remembered tokens take, and that a flood of them leaves nothing behind. */
import { startWorker, type Worker } from '../test/campaigns/support/workers.js'
import { pin } from './bout.js'
import type { Setting } from './contestants.js'
import type { LoadWorker } from './load-worker.js'
import type { ServerWorker } from './server-worker.js'

export interface MemoryOptions {
  readonly setting: Setting
  readonly load: Worker<LoadWorker>
  readonly quick: boolean
}

/** Tokens that a guard remembers by default. */
const remembered = 20_000
const mb = (bytes: number) => `${(bytes / 1_000_000).toFixed(1)} MB`

export async function measureMemory({ setting, load, quick }: MemoryOptions): Promise<string[]> {
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
    const many = quick ? 100_000 : 1_000_000
    await fresh(many / 2)
    const half = await server.call('memory')
    await fresh(many / 2)
    const after = await server.call('memory')
    return [
      '',
      '### Memory',
      '',
      `- ${remembered} tokens take ${mb(full.heapUsed - before.heapUsed)} of heap.`,
      `- After ${many / 2} and ${many} others the heap holds ${mb(half.heapUsed - before.heapUsed)} and ${mb(after.heapUsed - before.heapUsed)}, and the process ${mb(half.rss)} and ${mb(after.rss)}.`,
    ]
  } finally {
    await server.stop()
  }
}
