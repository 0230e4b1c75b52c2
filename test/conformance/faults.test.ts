/** Faults beyond the modules, each by its name in the faulty server's table. */
import { describe, expect, it } from 'vitest'
import type { FaultName } from '../support/faulty-server.js'
import type { LoginOptions } from '../support/app.js'
import { startRun, type LoginRun } from './login-run.js'
import { outcome, refused, type Expected } from './outcome.js'

type Case = Expected & { readonly fault: FaultName; readonly options?: Partial<LoginOptions> }

/** Broken or out of reach: a bad gateway, or one that may be back soon. */
const serverTrouble = [502, 503]
const impatient = { timeout: 0.3 }

const authorizationResponses: readonly Case[] = [
  { fault: 'authorization-iss-missing' },
  { fault: 'authorization-iss-wrong' },
  { fault: 'state-missing', openLogins: 1 },
  { fault: 'state-empty', openLogins: 1 },
  { fault: 'state-wrong', openLogins: 2 },
  { fault: 'state-of-another-login', openLogins: 2 },
  { fault: 'state-malformed', openLogins: 1 },
  { fault: 'state-repeated', openLogins: 1 },
  { fault: 'code-repeated', openLogins: 1 },
  { fault: 'iss-repeated', openLogins: 1 },
  { fault: 'error-repeated', openLogins: 1 },
  { fault: 'code-missing' },
  { fault: 'code-empty' },
  { fault: 'code-and-error', status: [400, 403] },
  { fault: 'error-access-denied', status: 403 },
  { fault: 'error-login-required' },
  { fault: 'error-server-error', status: serverTrouble },
  { fault: 'error-temporarily-unavailable', status: 503 },
  { fault: 'error-hostile-description', status: 403 },
  { fault: 'error-hostile-code' },
]

const tokenAnswers: readonly Case[] = [
  { fault: 'token-error-invalid-request' },
  { fault: 'token-error-invalid-client', status: 500 },
  { fault: 'token-error-invalid-grant' },
  { fault: 'token-error-unauthorized-client', status: [400, 500] },
  { fault: 'token-error-unsupported-grant-type', status: [400, 500] },
  { fault: 'token-error-invalid-scope' },
  { fault: 'token-empty-400', status: [400, 502] },
  { fault: 'token-empty-200', status: 502 },
  { fault: 'token-500', status: serverTrouble },
  { fault: 'token-503', status: 503 },
  { fault: 'token-429', status: 503 },
  { fault: 'token-html', status: 502 },
  { fault: 'token-redirect', status: 502 },
  { fault: 'token-huge', status: 502 },
  { fault: 'token-hang', status: serverTrouble, options: impatient },
  { fault: 'token-reset', status: serverTrouble },
]

const idTokens: readonly Case[] = [
  { fault: 'id-token-missing', status: [400, 502] },
  { fault: 'id-token-expired' },
  { fault: 'auth-time-old', options: { authorizationParameters: { max_age: 60 } } },
  { fault: 'auth-time-missing', options: { authorizationParameters: { max_age: 60 } } },
  { fault: 'acr-wrong', options: { authorizationParameters: { acr_values: 'gold' } } },
]

const discoveries: readonly Case[] = [
  { fault: 'discovery-down', status: 503 },
  { fault: 'discovery-500', status: serverTrouble },
  { fault: 'discovery-html', status: 502 },
  { fault: 'discovery-hang', status: 503, options: impatient },
  { fault: 'discovery-redirect', status: 502 },
  { fault: 'discovery-issuer-slash', status: 502 },
]

describe('refused before the token request', () => {
  it.each(named(authorizationResponses))('%s', async (fault, { options, ...expected }) => {
    const run = await startFault(fault, options)
    expect(await outcome(run, await run.login())).toEqual(refused({ tokenRequests: 0, ...expected }))
  })
})

describe('refused after one token request', () => {
  it.each(named([...tokenAnswers, ...idTokens]))('%s', async (fault, { options, ...expected }) => {
    const run = await startFault(fault, options)
    expect(await outcome(run, await run.login())).toEqual(refused(expected))
  })
})

describe('refused before the browser is sent away', () => {
  it.each(named(discoveries))('%s', async (fault, { options, ...expected }) => {
    const run = await startFault(fault, options)
    expect(await outcome(run, await run.login())).toEqual(refused({ tokenRequests: 0, ...expected }))
    expect(run.server.counts.authorize).toBe(0)
  })
})

function named(cases: readonly Case[]): [FaultName, Omit<Case, 'fault'>][] {
  return cases.map(({ fault, ...rest }) => [fault, rest])
}

async function startFault(fault: FaultName, options: Partial<LoginOptions> = {}): Promise<LoginRun> {
  return startRun({ server: { fault }, app: { options } })
}
