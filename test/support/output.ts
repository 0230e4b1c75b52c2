/** What the process prints, caught while a test runs. */
import { everythingIn } from './canaries.js'

const consoleMethods = ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table'] as const
const streams = ['stdout', 'stderr'] as const

export interface CapturedOutput {
  /** All that was printed since the start. */
  text(): string
  /** Prints go to their usual place again. */
  restore(): void
}

/**
 * Catches stdout, stderr and the console, which the test runner replaces by one of its own. With `passOn` it only
 * listens, and everything is printed as usual.
 */
export function captureOutput({ passOn = false } = {}): CapturedOutput {
  const printed: string[] = []
  const undo = [
    ...streams.map((name) => captureStream(name, printed, passOn)),
    ...consoleMethods.map((name) => captureConsole(name, printed, passOn)),
  ]
  return {
    text: () => printed.join('\n'),
    restore: () => {
      for (const restore of undo) restore()
    },
  }
}

function captureStream(name: (typeof streams)[number], printed: string[], passOn: boolean): () => void {
  const stream = process[name]
  const write = stream.write.bind(stream)
  stream.write = (chunk: string | Uint8Array) => {
    printed.push(Buffer.from(chunk).toString())
    return passOn ? write(chunk) : true
  }
  return () => {
    stream.write = write
  }
}

function captureConsole(
  name: (typeof consoleMethods)[number],
  printed: string[],
  passOn: boolean,
): () => void {
  const method = console[name]
  console[name] = (...values: unknown[]) => {
    printed.push(values.map((value) => everythingIn(value)).join(' '))
    if (passOn) Reflect.apply(method, console, values)
  }
  return () => {
    console[name] = method
  }
}
