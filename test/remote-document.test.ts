import { describe, expect, test } from 'vitest'
import { remoteDocument } from '../lib/remote-document.js'

/** A document at a time of its own; `load` can be told to fail, or to wait. */
function document() {
  const clock = { now: 1_000_000 }
  const failures: { error: unknown; stale: boolean }[] = []
  const server = { loads: 0, error: undefined as Error | undefined, gate: Promise.resolve() }
  const kept = remoteDocument({
    load: async () => {
      server.loads += 1
      const version = server.loads
      await server.gate
      if (server.error) throw server.error
      return `v${version}`
    },
    lifetime: () => 600,
    staleFor: 3600,
    onFailure: (error, stale) => failures.push({ error, stale }),
    now: () => clock.now,
  })
  return { kept, clock, server, failures }
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

test('a document is fetched when it is first asked for, and kept while it is fresh', async () => {
  const { kept, clock, server } = document()
  expect(server.loads).toBe(0)
  expect(await kept.current()).toBe('v1')
  clock.now += 479
  expect(await kept.current()).toBe('v1')
  expect(kept.peek()).toBe('v1')
  expect(server.loads).toBe(1)
})

test('whoever asks at the same time shares one fetch', async () => {
  const { kept, server } = document()
  expect(await Promise.all([kept.current(), kept.refetch(), kept.current()])).toEqual(['v1', 'v1', 'v1'])
  expect(server.loads).toBe(1)
})

test('an old document serves while a new one is fetched behind the scenes', async () => {
  const { kept, clock, server } = document()
  await kept.current()
  clock.now += 480
  let open = () => {}
  server.gate = new Promise((resolve) => (open = resolve))
  expect(await kept.current()).toBe('v1')
  expect(await kept.current()).toBe('v1')
  open()
  await settled()
  expect(await kept.current()).toBe('v2')
  expect(server.loads).toBe(2)
})

test('refetch fetches a fresh document anew, and the next after it once more', async () => {
  const { kept, server } = document()
  await kept.current()
  expect(await kept.refetch()).toBe('v2')
  expect(await kept.refetch()).toBe('v3')
  expect(await kept.current()).toBe('v3')
  expect(server.loads).toBe(3)
})

describe('a server that fails', () => {
  const error = new Error('away')

  test('before there is a document: the error, for a while without asking again', async () => {
    const { kept, clock, server, failures } = document()
    server.error = error
    await expect(kept.current()).rejects.toBe(error)
    await expect(kept.current()).rejects.toBe(error)
    expect(server.loads).toBe(1)
    expect(failures).toEqual([{ error, stale: false }])
    server.error = undefined
    clock.now += 1
    expect(await kept.current()).toBe('v2')
  })

  test('is asked after 1, 2, 4, 8, 16, 32 and then each 60 seconds', async () => {
    const { kept, clock, server } = document()
    server.error = error
    const start = clock.now
    const asked: number[] = []
    for (; clock.now - start <= 250; clock.now += 1) {
      const before = server.loads
      await kept.current().catch(() => undefined)
      if (server.loads > before) asked.push(clock.now - start)
    }
    expect(asked).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 243])
  })

  test('after a success begins at one second again', async () => {
    const { kept, clock, server } = document()
    server.error = error
    for (let attempt = 0; attempt < 6; attempt++) {
      await kept.refetch().catch(() => undefined)
    }
    server.error = undefined
    await kept.refetch()
    clock.now += 4000
    server.error = error
    await kept.current().catch(() => undefined)
    const { loads } = server
    clock.now += 1
    await kept.current().catch(() => undefined)
    expect(server.loads).toBe(loads + 1)
  })

  test('leaves the old document in use, up to its last day', async () => {
    const { kept, clock, server, failures } = document()
    await kept.current()
    server.error = error
    clock.now += 600 + 3599
    expect(await kept.current()).toBe('v1')
    await settled()
    expect(failures).toEqual([{ error, stale: true }])
    clock.now += 1
    await expect(kept.current()).rejects.toBe(error)
    server.error = undefined
    clock.now += 60
    expect(await kept.current()).toMatch(/^v/)
  })

  test('keeps nobody waiting while there is an old document', async () => {
    const { kept, clock, server } = document()
    await kept.current()
    server.gate = new Promise(() => {})
    clock.now += 601
    expect(await kept.current()).toBe('v1')
  })

  test('refetch tells the error and keeps the document', async () => {
    const { kept, server } = document()
    await kept.current()
    server.error = error
    await expect(kept.refetch()).rejects.toBe(error)
    expect(await kept.current()).toBe('v1')
  })

  test('one failure is told once, however many waited', async () => {
    const { kept, server, failures } = document()
    server.error = error
    await Promise.allSettled([kept.current(), kept.current(), kept.refetch()])
    expect(failures).toEqual([{ error, stale: false }])
  })
})

describe('a clock that is set back', () => {
  const year = 31_536_000

  test('makes nothing fresher', async () => {
    const { kept, clock, server } = document()
    await kept.current()
    clock.now += 400
    kept.peek()
    clock.now -= 3_600
    kept.peek()
    clock.now += 79
    kept.peek()
    expect(server.loads).toBe(1)
    clock.now += 1
    kept.peek()
    expect(server.loads).toBe(2)
  })

  test('does not make the document fresh for a year', async () => {
    const { kept, clock, server } = document()
    clock.now += year
    await kept.current()
    clock.now -= year
    await kept.current()
    clock.now += 601
    await kept.current()
    await settled()
    expect(server.loads).toBeGreaterThan(1)
  })

  test('does not leave a failed server alone for a year', async () => {
    const { kept, clock, server } = document()
    clock.now += year
    server.error = new Error('away')
    await kept.current().catch(() => undefined)
    server.error = undefined
    clock.now -= year
    await kept.current().catch(() => undefined)
    clock.now += 61
    expect(await kept.current()).toBe('v2')
  })
})

test('the figures are ten minutes and a day, and eight minutes until the renewal', async () => {
  let now = 0
  let loads = 0
  const kept = remoteDocument({
    load: async () => {
      loads += 1
      if (loads > 1) throw new Error('away')
      return 'v1'
    },
    onFailure: () => undefined,
    now: () => now,
  })
  await kept.current()
  now = 479
  await kept.current()
  expect(loads).toBe(1)
  now = 480
  await kept.current()
  expect(loads).toBe(2)
  now = 86_999
  expect(await kept.current()).toBe('v1')
  now = 87_000 + 60
  await expect(kept.current()).rejects.toThrow('away')
})

describe('after a quiet time', () => {
  test('of two lifetimes everybody waits for the fetch', async () => {
    const { kept, clock } = document()
    await kept.current()
    clock.now += 1_199
    expect(kept.peek()).toBe('v1')
    await settled()
    clock.now += 1_200
    expect(kept.peek()).toBeUndefined()
    expect(await Promise.all([kept.current(), kept.current()])).toEqual(['v3', 'v3'])
  })

  test('nobody waits for a server that failed within the last hour, and everybody after that', async () => {
    const { kept, clock, server } = document()
    await kept.current()
    server.error = new Error('away')
    await kept.refetch().catch(() => undefined)
    clock.now += 3_599
    expect(kept.peek()).toBe('v1')
    await settled()
    server.error = undefined
    clock.now += 3_600
    const loads = server.loads
    expect(kept.peek()).toBeUndefined()
    expect(server.loads).toBe(loads)
  })

  test('the old document serves when the fetch fails', async () => {
    const { kept, clock, server } = document()
    await kept.current()
    clock.now += 1_500
    server.error = new Error('away')
    expect(await kept.current()).toBe('v1')
  })
})

test('a document may say how long it is fresh', async () => {
  let now = 0
  let loads = 0
  const kept = remoteDocument({
    load: async () => {
      loads += 1
      return loads
    },
    lifetime: (version) => version * 1_000,
    onFailure: () => undefined,
    now: () => now,
  })
  expect(await kept.current()).toBe(1)
  now = 799
  kept.peek()
  expect(loads).toBe(1)
  now = 800
  kept.peek()
  await settled()
  expect(loads).toBe(2)
  now = 800 + 1_599
  kept.peek()
  expect(loads).toBe(2)
  now = 800 + 1_600
  expect(kept.peek()).toBe(2)
  expect(loads).toBe(3)
})

test('the fetch under way is to be had, whoever began it', async () => {
  const { kept, clock } = document()
  expect(kept.underWay()).toBeUndefined()
  const first = kept.current()
  expect(await kept.underWay()).toBe('v1')
  await first
  expect(kept.underWay()).toBeUndefined()
  clock.now += 600
  kept.peek()
  expect(await kept.underWay()).toBe('v2')
})
