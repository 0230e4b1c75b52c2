import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { isOAuthError, memoryStore, OAuthError } from '../../lib/index.js'
import { createSeal } from '../../lib/seal.js'
import { createLeases } from '../../lib/stores/leases.js'
import { createGate, type Gate } from '../../lib/tokens/gate.js'
import { createOutcomes } from '../../lib/tokens/outcomes.js'
import { createRefresher, type RefreshRequest } from '../../lib/tokens/refresh.js'

/** Requests that wait until they are answered, and how many were there at once. */
function server() {
  const open: (() => void)[] = []
  let most = 0
  return {
    ask: () =>
      new Promise<void>((resolve) => {
        open.push(resolve)
        most = Math.max(most, open.length)
      }),
    async answerAll() {
      while (open.length > 0) {
        for (const answer of open.splice(0)) answer()
        await sleep(1)
      }
    },
    get open() {
      return open.length
    },
    get most() {
      return most
    },
  }
}

function limited(seconds: string): OAuthError {
  return new OAuthError('server_unavailable', {
    reason: 'status_429',
    headers: { 'retry-after': seconds },
  })
}

async function refused(gate: Gate, error: OAuthError): Promise<void> {
  await expect(gate.run(() => Promise.reject(error), true)).rejects.toBe(error)
}

async function retryAfter(gate: Gate): Promise<number> {
  const error: unknown = await gate.run(async () => undefined, true).catch((thrown: unknown) => thrown)
  return Number(isOAuthError(error) && error.headers['retry-after'])
}

describe('the gate to the token endpoint', () => {
  test('T65 lets fifty in at once, and all others in their turn', async () => {
    const gate = createGate()
    const asked = server()
    const done = Array.from({ length: 400 }, () => gate.run(asked.ask, true))
    await sleep(5)
    expect(asked.open).toBe(50)
    await asked.answerAll()
    await Promise.all(done)
    expect(asked.most).toBe(50)
  })

  test('T65 lets them in one after the other, so that other requests have their turn between', async () => {
    const gate = createGate()
    const asked = server()
    const crowd = Array.from({ length: 50 }, () => gate.run(asked.ask, true))
    let turn = 0
    let counting = setImmediate(function count() {
      turn += 1
      counting = setImmediate(count)
    })
    const turns = new Set<number>()
    const others = Array.from({ length: 40 }, () => gate.run(async () => void turns.add(turn), true))
    await sleep(5)
    await asked.answerAll()
    await Promise.all([...crowd, ...others])
    clearImmediate(counting)
    expect(turns.size).toBe(40)
  })

  test('sends away at once whoever is not patient, and whoever would be the 1 001st to wait', async () => {
    const gate = createGate()
    const asked = server()
    const done = Array.from({ length: 1_050 }, () => gate.run(asked.ask, true))
    const busy = (seconds: string) => ({
      code: 'server_unavailable',
      reason: 'too_busy',
      headers: { 'retry-after': seconds },
    })
    await expect(gate.run(asked.ask, false)).rejects.toMatchObject(busy('1'))
    await expect(gate.run(asked.ask, true)).rejects.toMatchObject(busy('10'))
    await asked.answerAll()
    await Promise.all(done)
    await expect(gate.run(async () => 'in', false)).resolves.toBe('in')
  })

  test('T65 tells those whom it sends away different moments, as fast as it lets others in', async () => {
    const gate = createGate()
    const asked = server()
    const quick = () => sleep(1)
    const crowd = Array.from({ length: 50 }, () => gate.run(asked.ask, true))
    const others = Array.from({ length: 1_000 }, () => gate.run(quick, true))
    const told = await Promise.all(Array.from({ length: 4_000 }, () => retryAfter(gate)))
    // A hundred each second, while it is not known how fast it goes.
    expect([told[0], told[999], told[1_999], told[3_999]]).toEqual([10, 20, 30, 50])
    await asked.answerAll()
    await Promise.all(others.slice(0, 500))
    others.push(...Array.from({ length: 1_000 }, () => gate.run(quick, true).catch(() => undefined)))
    expect(await retryAfter(gate)).toBeLessThan(10)
    await Promise.all([...crowd, ...others])
  })

  test('holds all back for as long as the server says, and no longer', async () => {
    const gate = createGate()
    await refused(gate, limited('1'))
    await expect(gate.run(async () => 'in', false)).rejects.toMatchObject({ headers: { 'retry-after': '1' } })
    const start = performance.now()
    await expect(gate.run(async () => 'in', true)).resolves.toBe('in')
    expect(performance.now() - start).toBeGreaterThan(900)
  })

  test('holds all back for five seconds when a limit was met and the server says no time', async () => {
    const gate = createGate()
    await refused(gate, new OAuthError('server_unavailable', { reason: 'status_429' }))
    await expect(gate.run(async () => 'in', false)).rejects.toMatchObject({ headers: { 'retry-after': '5' } })
  })

  test('keeps nobody waiting for longer than ten seconds', async () => {
    const gate = createGate()
    await refused(gate, limited('60'))
    await expect(gate.run(async () => 'in', true)).rejects.toMatchObject({
      headers: { 'retry-after': '60' },
    })
  })

  test.each([
    ['a failure of another kind', new Error('broken')],
    ['a server in trouble', new OAuthError('server_unavailable', { reason: 'status_503' })],
    ['a refusal', new OAuthError('invalid_grant')],
  ])('%s holds nobody else back', async (_what, error) => {
    const gate = createGate()
    await refused(gate, error as OAuthError)
    await expect(gate.run(async () => 'in', false)).resolves.toBe('in')
  })
})

test('who was sent away may find a place at any moment: their session is not held back', async () => {
  const store = memoryStore()
  const gate = createGate()
  const renewed = { access_token: 'new', scope: [], generation: 1 }
  const refresher = createRefresher({
    leases: createLeases(store),
    outcomes: createOutcomes({
      store,
      seal: createSeal(['a secret of thirty-two bytes or more'], 'test'),
    }),
    gate,
    emit: () => undefined,
  })
  const request: RefreshRequest = {
    family: 'one',
    wanted: '',
    replaces: 'old',
    isPatient: true,
    reread: async () => {
      const tokens = { access_token: 'old', refresh_token: 'good', scope: [], generation: 0 }
      return { tokens, access: tokens }
    },
    grant: async () => ({ tokens: renewed, access: renewed }),
    save: async () => undefined,
  }
  const asked = server()
  const crowd = Array.from({ length: 1_050 }, () => gate.run(asked.ask, true))
  await expect(refresher.refresh(request)).rejects.toMatchObject({ reason: 'too_busy' })
  await asked.answerAll()
  await Promise.all(crowd)
  await expect(refresher.refresh(request)).resolves.toMatchObject({ access: renewed })
})
