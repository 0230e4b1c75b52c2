/** The campaign runner: its exit code is 0 only when everything that was asked for was measured and holds. */
import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listening, stopped } from '../support/listening.js'
import { atMost, exactly, noted, randomFrom, type Campaign } from './support/campaign.js'
import { runCampaigns } from './support/runner.js'

async function outcomeOf(...runs: readonly Campaign['run'][]) {
  const lines: string[] = []
  const within = { short: 0.2, long: 0.2 }
  const campaigns = runs.map((run, index): [string, Campaign] => [
    `c${index}`,
    { title: 'A test', within, run },
  ])
  const print = (line: string) => void lines.push(line)
  const code = await runCampaigns(new Map(campaigns), { long: false, seed: 7, print })
  return { code, lines, text: lines.join('\n'), last: lines.at(-1) }
}

const good = async () => [
  exactly('logouts', 0, 0),
  atMost('slowest answer', 12, 200, { unit: 'ms' }),
  noted('retries', 3),
]

test('figures that hold are printed as a table, and the exit code is 0', async () => {
  const { code, lines } = await outcomeOf(good)
  expect(code).toBe(0)
  expect(lines.filter((line) => !/^ {2}\d/.test(line))).toEqual([
    '\nc0: A test (short, seed 7)',
    '  what            asked     measured',
    '  logouts         0         0         ok',
    '  slowest answer  ≤ 200 ms  12 ms     ok',
    '  retries                   3',
    '\nCampaigns: 2 passed, 0 failed',
  ])
})

describe('the exit code is 1 for a campaign', () => {
  test.each<[string, Campaign['run'], string]>([
    ['that misses a figure', async () => [exactly('logouts', 1, 0, { details: ['user 4'] })], 'user 4'],
    ['that throws', async () => Promise.reject(new Error('no server')), 'no server'],
    ['that measures nothing', async () => [], 'it measured nothing'],
    ['that takes too long', async () => new Promise(() => undefined), 'it was not done within 0.2 s'],
    [
      'with a rejection that nobody handles',
      async () => {
        void Promise.reject(new Error('nobody cares'))
        return good()
      },
      'nobody cares',
    ],
    [
      'that leaves a server behind',
      async () => {
        const server = createServer()
        await listening(server)
        onTestFinished(() => stopped(server))
        return good()
      },
      'it left behind 1 × TCPServerWrap',
    ],
  ])('%s', async (_what, run, told) => {
    const { code, text, last } = await outcomeOf(run, good)
    expect([code, last]).toEqual([1, expect.stringMatching(/^\nCampaigns: [24] passed, 1 failed$/)])
    expect(text).toMatch(/MISSED/)
    expect(text).toContain(told)
  })

  test('that has an unknown name', async () => {
    const run = promisify(execFile)('npx', ['tsx', 'test/campaigns/run.ts', 'c0'])
    await expect(run).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('no campaign c0') })
  })
})

test('the same seed gives the same numbers', () => {
  const [one, same, other] = [randomFrom(7), randomFrom(7), randomFrom(8)].map((random) => [
    random(),
    random(),
  ])
  expect(one).toEqual(same)
  expect(one).not.toEqual(other)
})
