/** The worker of the workers' own test: it counts. */
import { serveCommands } from './worker.js'

export interface CountingWorker {
  readonly args: { readonly start: number }
  readonly ready: string
  readonly commands: {
    add(number: number): number
    fail(how: 'quickly' | 'unnoticed' | 'never'): Promise<void>
  }
}

void serveCommands<CountingWorker>(async ({ start }) => {
  if (start < 0) {
    console.error(`cannot count from ${start}`)
    process.exit(1)
  }
  let count = start
  return {
    ready: `${process.env['COUNTED']} from ${start}`,
    commands: {
      add: (number) => (count += number),
      fail: async (how) => {
        if (how === 'never') await new Promise(() => undefined)
        if (how === 'unnoticed') void Promise.reject(new Error('failed unnoticed'))
        else throw new Error(`failed ${how}`)
      },
    },
  }
})
