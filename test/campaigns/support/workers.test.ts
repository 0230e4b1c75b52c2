/** Workers: they are given something, are asked for things, and end when they are let go or killed. */
import { expect, onTestFinished, test } from 'vitest'
import type { CountingWorker } from './counting-worker.js'
import { startWorkers, stopWorkers } from './workers.js'

const entry = new URL('counting-worker.ts', import.meta.url)

async function started(...starts: readonly number[]) {
  const args = starts.map((start) => ({ start }))
  const workers = await startWorkers<CountingWorker>(entry, args, { env: { COUNTED: 'sheep' } })
  onTestFinished(() => stopWorkers(workers))
  return workers
}

test('each has its own memory, arguments and environment', async () => {
  const [one, other] = await started(1, 10)
  expect([one?.ready, other?.ready]).toEqual(['sheep from 1', 'sheep from 10'])
  await one?.call('add', 5)
  expect([await one?.call('add', 1), await other?.call('add', 1)]).toEqual([7, 11])
  expect(await one?.stop()).toEqual({ code: 0, signal: null })
  expect(await other?.call('add', 1)).toBe(12)
})

test('what a command throws comes to whoever asked, and what nobody handles is kept', async () => {
  const [worker] = await started(1)
  await expect(worker?.call('fail', 'quickly')).rejects.toThrow('failed quickly')
  await expect(worker?.call('fail', 'unnoticed')).resolves.toBeUndefined()
  await expect.poll(() => worker?.rejections).toEqual([expect.stringContaining('failed unnoticed')])
})

test('a kill ends it where it stands, and calls that wait are rejected', async () => {
  const [worker] = await started(1)
  const [call, exit] = await Promise.allSettled([worker?.call('fail', 'never'), worker?.kill()])
  expect(call).toMatchObject({ reason: { message: expect.stringContaining('the worker ended: SIGKILL') } })
  expect(exit).toMatchObject({ value: { code: null, signal: 'SIGKILL' } })
  await expect(worker?.call('add', 1)).rejects.toThrow('closed')
})

test('one that does not start says why, and the others end', async () => {
  await expect(startWorkers<CountingWorker>(entry, [{ start: 1 }, { start: -1 }])).rejects.toThrow(
    'cannot count from -1',
  )
})
