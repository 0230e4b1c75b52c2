/** What a function of the application answers, when a request depends on it. */

/** Whatever it throws is thrown on as something that an error handler gets. */
export async function appAnswer<T>(option: string, ask: () => T | Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (thrown) {
    throw asError(thrown, `the function "${option}"`)
  }
}

/** A promise where none is possible. Nobody waits for it, and its failure would end the process. */
export function isPromise(given: unknown): boolean {
  if (!(given instanceof Promise)) return false
  given.catch(() => undefined)
  return true
}

/**
 * What was thrown, as something that an error handler gets. Express takes what is falsy, and `'route'`, for "go on": passed
 * to `next` as they are they would let the request through.
 */
export function asError(thrown: unknown, thrower = 'a function'): object {
  if (thrown !== null && typeof thrown === 'object') return thrown
  return new Error(`${thrower} threw ${typeof thrown}, which is no error`, { cause: thrown })
}
