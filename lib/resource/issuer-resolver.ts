/** Authorization servers that the application names anew for each request, such as those of its tenants. */

import type { IncomingMessage } from 'node:http'
import { appAnswer } from '../app-answer.js'
import { keptInUse } from '../kept-in-use.js'
import type { OptionChecks } from '../options.js'
import { knownIssuerOptions, withDefaults, type IssuerDetails, type IssuerOptions } from './issuer-options.js'
import { issuerTrust, type IssuerSettings, type IssuerTrust } from './trusted-issuer.js'

/**
 * Says for each request who is trusted in it. It is given the issuer that the token claims, which proves nothing and is
 * anybody's text: look it up among those you know, and never return it unseen. `req` is undefined for `verify(token)`.
 * Nothing means that the token is refused; what it throws goes to the error handler.
 */
export type IssuerResolver = (
  claimedIssuer: string,
  req: IncomingMessage | undefined,
) => NamedIssuer | Promise<NamedIssuer>

type NamedIssuer = IssuerOptions | string | null | undefined

/** The trust of whom the resolver names; nothing when it names nobody. */
export type ResolvedTrust = (
  claimedIssuer: string,
  req: IncomingMessage | undefined,
) => Promise<IssuerTrust | undefined>

/** Servers whose keys are kept. */
const mostIssuers = 1_000

/** Options that say the same are the same server, so that a resolver may write them anew for each request. */
export function resolvedTrust(
  resolver: IssuerResolver,
  defaults: IssuerDetails,
  settings: IssuerSettings,
  check: OptionChecks,
): ResolvedTrust {
  let isWarned = false
  const known = keptInUse<IssuerTrust>({
    most: mostIssuers,
    onLoss() {
      if (isWarned) return
      isWarned = true
      process.emitWarning(
        `the function "issuers" named more than ${mostIssuers} servers, and the keys of some are fetched anew. If they are fewer, have it return the same functions and key objects each time.`,
      )
    },
  })
  const identity = identities()
  return async (claimedIssuer, req) => {
    const named = await appAnswer('issuers', () => resolver(claimedIssuer, req))
    if (!named) return undefined
    const options = typeof named === 'string' ? { issuer: named } : named
    return known.get(identity(options), () => {
      const checkNamed = check.within('issuers()', options, knownIssuerOptions)
      if (options.introspection !== undefined)
        checkNamed.refuse(
          'introspection',
          'is given by a function',
          'an opaque token does not say whose it is',
        )
      return issuerTrust(withDefaults(options, defaults), settings, checkNamed)
    })
  }
}

/** A text that is the same for values that say the same. Functions and objects of classes are told apart by what they are. */
function identities(): (value: unknown) => string {
  const numbers = new WeakMap<object, number>()
  let last = 0
  const numberOf = (value: object) => {
    const number = numbers.get(value) ?? ++last
    numbers.set(value, number)
    return number
  }
  return function identity(value): string {
    if (Array.isArray(value)) return `[${value.map(identity).join()}]`
    if (typeof value === 'function') return `#${numberOf(value)}`
    if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'undefined'
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) return `#${numberOf(value)}`
    return `{${Object.entries(value)
      .map(([name, member]) => `${JSON.stringify(name)}:${identity(member)}`)
      .join()}}`
  }
}
