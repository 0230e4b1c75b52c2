/** What a function of the application answers, when a request depends on it. */

/**
 * Whatever it throws is thrown on as something that an error handler gets. Express takes `undefined` and `'route'` for
 * "go on": thrown as they are they would let the request through.
 */
export async function appAnswer<T>(option: string, ask: () => T | Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (thrown) {
    if (thrown !== null && typeof thrown === 'object') throw thrown
    throw new Error(`the function "${option}" threw ${typeof thrown}, which is no error`, {
      cause: thrown,
    })
  }
}
