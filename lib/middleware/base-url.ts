/** The option `baseUrl`: where the world finds the place that a middleware is mounted at. */

import { redirectUriProblem } from '../oauth/redirect-uri.js'
import type { OptionChecks } from '../options.js'

export function checkedBaseUrl(baseUrl: string, check: OptionChecks): URL {
  check.string('baseUrl', baseUrl, 'give the public URL of this app, such as "https://example.com"')
  const problem = redirectUriProblem(baseUrl)
  if (problem) check.refuse('baseUrl', problem.problem, problem.advice)
  if (baseUrl.includes('?')) check.refuse('baseUrl', 'has a query', 'remove the "?" and what follows')
  return new URL(baseUrl)
}
