/** The option `authorizationParameters`: what an app adds to each authorization request. */

import type { OptionChecks } from '../options.js'
import { reservedParameters, type AuthorizationParameters } from './authorization-request.js'

export function checkedAuthorizationParameters(
  parameters: AuthorizationParameters | undefined,
  scope: readonly string[],
  check: OptionChecks,
): AuthorizationParameters {
  if (parameters === undefined) return {}
  if (parameters === null || typeof parameters !== 'object' || Array.isArray(parameters))
    check.refuse(
      'authorizationParameters',
      'is not an object',
      "give names and values: { prompt: 'consent' }",
    )
  for (const [name, value] of Object.entries<unknown>(parameters)) {
    const option = `authorizationParameters.${name}`
    if (reservedParameters.includes(name))
      check.refuse(option, 'is not yours to set', 'remove it; "scope" and "resource" are options')
    if (typeof value !== 'string' && typeof value !== 'number')
      check.refuse(option, value === undefined ? 'is undefined' : 'is not a text', 'give a text or a number')
    if (['max_age', 'acr_values'].includes(name) && !scope.includes('openid')) {
      check.refuse(
        option,
        'is set without "openid" in the scope',
        'only an ID token tells whether it was met; ask for "openid"',
      )
    }
    if (name === 'max_age' && !/^\d{1,9}$/.test(String(value)))
      check.refuse(option, `is "${String(value)}"`, 'give a whole number of seconds')
  }
  return { ...parameters }
}
