/** Somebody who opens one page over and over, from a process of their own, and notes how long it takes. */
import { serveCommands } from '../support/worker.js'
import type { Time } from '../support/stalls.js'
import { createVisitor } from '../support/visitor.js'

export interface ProbeWorker {
  readonly args: undefined
  readonly ready: undefined
  readonly commands: {
    begin(page: { readonly url: string; readonly cookie: string }): void
    /** The answers since this was last asked; rejects when one of them was not 200. */
    times(): Time[]
  }
}

/** Milliseconds from one visit to the next. */
const rhythm = 40

void serveCommands<ProbeWorker>(async () => {
  const visitor = createVisitor()
  let times: Time[] = []
  let wrong: number[] = []
  return {
    ready: undefined,
    commands: {
      begin: ({ url, cookie }) =>
        void setInterval(() => {
          void visitor.ask(url, cookie).then(({ status, took }) => {
            times.push({ took, at: Date.now() })
            if (status !== 200) wrong.push(status)
          })
        }, rhythm),
      times() {
        if (wrong.length > 0) throw new Error(`the page was answered by ${wrong.join(', ')}`)
        const told = times
        times = []
        return told
      },
    },
  }
})
