/** The guard for what needs a strong or recent sign-in (RFC 9470). */

import { OAuthError } from '../errors.js'
import type { AuthenticationDemand } from '../oauth/authentication.js'
import { isScopeToken } from '../oauth/scope.js'
import { checkOptions } from '../options.js'
import { guard } from './guard.js'
import type { Guard } from './requirement.js'

export interface StepUpOptions {
  /** The kind of sign-in, as the server names it in the `acr` claim. Of several, one will do; put the best first. */
  acr?: string | readonly string[]
  /** Seconds that may have passed since the user signed in: a whole number from 1. `clockTolerance` comes on top. */
  maxAge?: number
}

/**
 * Lets through who signed in like that. A page visit goes to a login that asks for it, and comes back; scripts get a 401
 * with `acr_values`, `max_age` and `login_url`; requests with a token get the challenge of RFC 9470 §3. What is judged is
 * `acr` and `auth_time` of the ID token, or of the access token; one that is missing refuses. Sessions need `openid` in
 * the scope. Throws `invalid_configuration` for options that cannot work.
 */
export function requireStepUp(options: StepUpOptions): Guard {
  const demand = checkedDemand(options)
  return guard({ kind: 'stepUp', ...demand }, (_auth, source) => {
    const reason = source.shortcoming(demand)
    if (reason === undefined) return undefined
    return new OAuthError('insufficient_user_authentication', {
      reason,
      ...(demand.acr && { acrValues: demand.acr }),
      ...(demand.maxAge !== undefined && { maxAge: demand.maxAge }),
      hint: `"${reason}" of the sign-in is missing or does not meet what requireStepUp asks for.`,
    })
  })
}

function checkedDemand(options: StepUpOptions): AuthenticationDemand {
  const check = checkOptions('requireStepUp', options, { acr: true, maxAge: true })
  const { acr, maxAge } = options
  const values = acr === undefined ? undefined : [acr].flat()
  if (values && !(values.length > 0 && values.every(isScopeToken))) {
    check.refuse('acr', 'is no value, or has a space or a quote in it', 'give one string, or a list of them')
  }
  if (maxAge !== undefined && !(Number.isInteger(maxAge) && maxAge >= 1 && maxAge <= longestAge)) {
    check.refuse('maxAge', `is ${String(maxAge)}`, `give whole seconds from 1 to ${longestAge}`)
  }
  if (!values && maxAge === undefined) check.refuse('maxAge', 'is missing', 'give it, or "acr", or both')
  return { ...(values && { acr: values }), ...(maxAge !== undefined && { maxAge }) }
}

/** Seconds: some thirty years, and a number that `max_age` can have. */
const longestAge = 999_999_999
