/** Runs campaigns one after the other, prints their figures, and says whether all of them hold. */
import { inspect } from 'node:util'
import { unhandledRejections } from '../../support/unhandled-rejections.js'
import { randomFrom, type Campaign, type Figure } from './campaign.js'

export interface RunnerOptions {
  readonly long: boolean
  readonly seed: number
  readonly print: (line: string) => void
}

/** Milliseconds that sockets and timers of a campaign may take to be gone after its end. */
const farewell = 3_000

/** Gives the exit code: 0 when every figure of every campaign holds. Prints one count per figure at the end. */
export async function runCampaigns(
  campaigns: ReadonlyMap<string, Campaign>,
  options: RunnerOptions,
): Promise<number> {
  const { long, seed, print } = options
  let passed = 0
  let failed = 0
  for (const [name, campaign] of campaigns) {
    print(`\n${name}: ${campaign.title} (${long ? 'long' : 'short'}, seed ${seed})`)
    const start = performance.now()
    const figures = await figuresOf(campaign, options)
    const seconds = Math.round((performance.now() - start) / 100) / 10
    for (const line of table(figures)) print(line)
    print(`  ${seconds} s`)
    passed += figures.filter(({ holds, isNote }) => holds && !isNote).length
    failed += figures.filter(({ holds }) => !holds).length
  }
  print(`\nCampaigns: ${passed} passed, ${failed} failed`)
  return failed === 0 && passed > 0 ? 0 : 1
}

/** The campaign's own figures, and what the runner has to say: an error, a rejection nobody handled, something left behind. */
async function figuresOf(campaign: Campaign, { long, seed }: RunnerOptions): Promise<Figure[]> {
  const before = activeResources()
  const within = campaign.within[long ? 'long' : 'short']
  const { result, rejections } = await unhandledRejections(async () => {
    try {
      const figures = await inTime(campaign.run({ long, random: randomFrom(seed) }), within)
      return figures.some(({ isNote }) => !isNote) ? figures : [failure('it measured nothing')]
    } catch (error) {
      return [failure('it threw', error)]
    }
  })
  const left = await leftBehind(before)
  return [
    ...result,
    ...rejections.map((reason) => failure('a rejection was not handled', reason)),
    ...(left.length > 0 ? [failure(`it left behind ${left.join(', ')}`)] : []),
  ]
}

function failure(what: string, reason?: unknown): Figure {
  const details =
    reason === undefined ? [] : [reason instanceof Error ? (reason.stack ?? '') : inspect(reason)]
  return { what, measured: 1, unit: '', asked: '0', holds: false, details }
}

async function inTime<T>(work: Promise<T>, seconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`it was not done within ${seconds} s`)), seconds * 1_000)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

async function leftBehind(before: ReadonlyMap<string, number>): Promise<string[]> {
  const deadline = performance.now() + farewell
  for (;;) {
    const left = [...activeResources()]
      .filter(([kind, count]) => count > (before.get(kind) ?? 0))
      .map(([kind, count]) => `${count - (before.get(kind) ?? 0)} × ${kind}`)
    if (left.length === 0 || performance.now() > deadline) return left
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** What keeps this process alive, counted by kind. Streams to a terminal come and go as lines are printed. */
function activeResources(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) {
    if (!/^(TTY|Pipe|FSReq|Immediate)/.test(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  return counts
}

function table(figures: readonly Figure[]): string[] {
  const rows = figures.map(({ what, asked, measured, unit, holds, isNote }) => [
    what,
    unit === '' || isNote ? asked : `${asked} ${unit}`,
    `${measured}${unit === '' ? '' : ` ${unit}`}`,
    isNote ? '' : holds ? 'ok' : 'MISSED',
  ])
  const all = [['what', 'asked', 'measured', ''], ...rows]
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const [head = '', ...lines] = all.map(
    (row) =>
      `  ${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}`,
  )
  const detailed = lines.flatMap((line, index) => {
    const figure = figures[index]
    return [line, ...(figure?.holds ? [] : (figure?.details ?? []).map((detail) => `      ${detail}`))]
  })
  return [head, ...detailed]
}
