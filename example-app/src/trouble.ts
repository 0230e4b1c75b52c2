/**
 * Trouble on request, so that the single page can show what it does then: whoever asks for it has it, nobody else. An
 * app of yours needs none of this.
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { RequestHandler } from 'express'
import type { Store } from 'express-oauth-kit'

/** The page sends it; what is meant for the API goes on to it. */
const header = 'demo-trouble'

/** At the API: it is gone, or says nothing. */
export const apiTrouble: RequestHandler = (req, _res, next) => {
  const trouble = req.get(header)
  if (trouble === 'api-down') req.socket.destroy()
  else if (trouble !== 'api-slow') next()
}

export interface StoreTrouble {
  /** Mount it first: it knows for whom the store is away. */
  readonly middleware: RequestHandler
  /** The store, for `oauthLogin`. */
  readonly store: Store
}

/** At the app: its store is away. */
export function storeTrouble(store: Store): StoreTrouble {
  const isAway = new AsyncLocalStorage<true>()
  const get: Store['get'] = async (keys) => {
    if (isAway.getStore()) throw new Error('the store is away, as the page wanted it')
    return original(keys)
  }
  const original = store.get.bind(store)
  return {
    middleware: (req, _res, next) => {
      if (req.get(header) === 'store-down') isAway.run(true, next)
      else next()
    },
    // The very object: to the package, memoryStore() is one that ends with the process.
    store: Object.assign(store, { get }),
  }
}
