/**
 * What an application does at an authorization server, each with what its documentation says becomes of it. Another
 * operation is one more entry.
 */
import { deepStrictEqual } from 'node:assert'
import type { Browser, Page } from '../../support/browser.js'
import { replayed } from '../../support/browser/exchange.js'
import type { FaultyServer } from '../../support/faulty-server.js'
import type { Steps } from '../../support/faulty-server/provider.js'
import { correctSteps } from '../../support/faulty-server/steps.js'
import { location } from '../../support/requests.js'
import { apiAudience } from '../support/api.js'
import type { ToldEvent } from '../support/app-worker.js'
import { signIn } from '../support/sign-in.js'
import type { FaultyAnswer, Kind } from './faults.js'

export type OperationName =
  | 'code exchange'
  | 'refresh'
  | 'refresh of a spent token'
  | 'client credentials'
  | 'revocation'
  | 'introspection'
  | 'userinfo'

export interface Outcome {
  /** The code of the `OAuthError`, as the page or the event has it. */
  readonly code: string
  /** Of the answer that the browser gets. */
  readonly status: number
  /** Seconds that the answer asks to wait. */
  readonly retryAfter?: string | undefined
  readonly session: 'none' | 'begun' | 'kept' | 'ended'
  /** The scopes of the session; not looked at when the row names none. */
  readonly scope?: string
  /** That the endpoint saw. */
  readonly requests: number
}

export interface Operation {
  readonly endpoint: 'token' | 'revocation' | 'introspection' | 'userinfo'
  readonly usesUserinfo?: true
  /** What follows from each kind of failure; a kind that is left out does not occur. */
  readonly outcomes: Readonly<Partial<Record<Kind, Outcome>>>
  /** Deadlines that go by until an answer; one when it is left out. */
  readonly deadlines?: Readonly<Partial<Record<Kind, number>>>
  /** The steps of the server that give this answer. */
  steps(answer: FaultyAnswer): Partial<Steps>
  /** All that comes before the request that meets the failure. */
  prepare(scene: Scene): Promise<Attempt>
}

/** One application with one browser, at a server that does everything right for now. */
export interface Scene {
  readonly url: string
  readonly server: FaultyServer
  readonly browser: Browser
}

export interface Attempt {
  /** The request whose answer is timed. */
  run(): Promise<Page>
  /** What came of it, seen from outside. The server still does what it did. */
  result(page: Page, events: readonly ToldEvent[]): Promise<Pick<Outcome, 'code' | 'session' | 'scope'>>
}

/** The header of a 503 whose cause does not say when it is over. */
const soon = '5'

const noLogin = {
  lost: { code: 'server_unavailable', status: 503, retryAfter: soon, session: 'none', requests: 1 },
  away: { code: 'server_unavailable', status: 503, retryAfter: soon, session: 'none', requests: 1 },
  unusable: { code: 'invalid_server_response', status: 502, session: 'none', requests: 1 },
  good: { code: 'none', status: 303, session: 'begun', requests: 1 },
} as const satisfies Operation['outcomes']

const refresh: Operation = {
  endpoint: 'token',
  // What a server may have done without a trace is asked for once more; nothing else is.
  outcomes: {
    lost: { code: 'server_unavailable', status: 503, retryAfter: soon, session: 'kept', requests: 2 },
    away: { code: 'server_unavailable', status: 503, retryAfter: soon, session: 'kept', requests: 1 },
    unusable: { code: 'invalid_server_response', status: 502, session: 'kept', requests: 1 },
    refused: { code: 'login_required', status: 401, session: 'ended', requests: 1 },
    good: { code: 'none', status: 200, session: 'kept', requests: 1 },
  },
  deadlines: { lost: 2 },
  steps: (answer) => ({ ...tokenStep(answer), grants: lenientGrants }),
  prepare: prepareRefresh,
}

export const operations: Readonly<Record<OperationName, Operation>> = {
  'code exchange': {
    endpoint: 'token',
    outcomes: {
      ...noLogin,
      refused: { code: 'server_refused', status: 400, session: 'none', requests: 1 },
    },
    steps: tokenStep,
    prepare: prepareLogin,
  },
  refresh,
  // A server that did its part before the answer was lost, and takes no refresh token twice: nothing can be saved.
  'refresh of a spent token': {
    ...refresh,
    outcomes: { lost: { code: 'login_required', status: 401, session: 'ended', requests: 2 } },
    steps: tokenStep,
  },
  'client credentials': {
    endpoint: 'token',
    outcomes: {
      ...noLogin,
      refused: { code: 'server_refused', status: 400, session: 'none', requests: 1 },
      good: { code: 'none', status: 200, session: 'none', requests: 1 },
    },
    steps: tokenStep,
    prepare: async ({ url, browser }) => ({
      run: () => browser.visit(`${url}/service`, { follow: false }),
      result: async (page) => ({ code: page.status === 200 ? 'none' : page.body, session: 'none' }),
    }),
  },
  revocation: {
    endpoint: 'revocation',
    // The user has left in any case; the refresh token comes first, and a failure is the last that is asked.
    outcomes: {
      lost: { code: 'server_unavailable', status: 200, session: 'ended', requests: 1 },
      away: { code: 'server_unavailable', status: 200, session: 'ended', requests: 1 },
      unusable: { code: 'invalid_server_response', status: 200, session: 'ended', requests: 1 },
      refused: { code: 'server_refused', status: 200, session: 'ended', requests: 1 },
      good: { code: 'none', status: 200, session: 'ended', requests: 2 },
    },
    steps: (answer) => ({ answerRevocation: (op) => answer(op, {}) }),
    prepare: async ({ url, browser }) => {
      await signIn(browser, `${url}/private`)
      return {
        run: () => browser.fetch(`${url}/logout`, { method: 'POST' }),
        result: async (_page, events) => ({
          code: codeOf(events, 'revocation_failed'),
          session: (await isSignedIn(url, browser)) ? 'kept' : 'ended',
        }),
      }
    },
  },
  // Whatever happens, nobody is told that the token is bad, or which part is away, and nobody is let in.
  introspection: {
    endpoint: 'introspection',
    outcomes: {
      lost: { code: 'temporarily_unavailable', status: 503, retryAfter: soon, session: 'none', requests: 1 },
      away: { code: 'temporarily_unavailable', status: 503, retryAfter: soon, session: 'none', requests: 1 },
      unusable: {
        code: 'temporarily_unavailable',
        status: 503,
        retryAfter: soon,
        session: 'none',
        requests: 1,
      },
      refused: { code: 'invalid_token', status: 401, session: 'none', requests: 1 },
      good: { code: 'none', status: 200, session: 'none', requests: 1 },
    },
    steps: (answer) => ({ answerIntrospection: answer }),
    prepare: async ({ url, browser }) => {
      const { body: token } = await browser.visit(`${url}/service?resource=${apiAudience}`, { follow: false })
      const headers = { authorization: `Bearer ${token}` }
      return {
        run: () => browser.fetch(`${url}/api`, { headers }),
        result: async (page) => ({
          code: page.status === 200 ? 'none' : (JSON.parse(page.body) as { error: string }).error,
          session: 'none',
        }),
      }
    },
  },
  userinfo: {
    endpoint: 'userinfo',
    usesUserinfo: true,
    outcomes: noLogin,
    steps: (answer) => ({ answerUserinfo: answer }),
    prepare: prepareLogin,
  },
}

function tokenStep(answer: FaultyAnswer): Partial<Steps> {
  return { answerToken: answer }
}

/** A server in trouble that has not spent the refresh token, or takes it once more. */
const lenientGrants: Steps['grants'] = {
  ...correctSteps.grants,
  ...(correctSteps.grants['refresh_token'] && {
    refresh_token: { ...correctSteps.grants['refresh_token'], complaints: () => [] },
  }),
}

async function prepareLogin({ url, browser, server }: Scene): Promise<Attempt> {
  const login = await browser.visit(`${url}/login`, { follow: false })
  const callback = location(await browser.visit(location(login), { follow: false }))
  return {
    run: () => browser.visit(callback, { follow: false }),
    result: async (page, events) => {
      const before = server.counts.token
      await replayed(page) // a double click: no code is sent twice
      deepStrictEqual(server.counts.token, before, 'a second request of the callback asked for tokens')
      const isIn = await isSignedIn(url, browser)
      return {
        code: codeOf(events, 'login_failed'),
        session: isIn ? 'begun' : 'none',
        scope: browser.page.body,
      }
    },
  }
}

async function prepareRefresh({ url, browser }: Scene): Promise<Attempt> {
  await signIn(browser, `${url}/private`)
  const old = (await browser.visit(`${url}/token`, { follow: false })).body
  return {
    run: () => browser.visit(`${url}/token?force`, { follow: false }),
    result: async (page) => {
      const isGood = page.status === 200
      const kept = await browser.visit(`${url}/token`, { follow: false })
      // With a failure that ends nothing, the token that is still good goes on; a new one is kept.
      if (kept.status === 200) deepStrictEqual(kept.body, isGood ? page.body : old, 'another token was kept')
      if (isGood) deepStrictEqual(page.body === old, false, 'the token is the old one')
      const isIn = await isSignedIn(url, browser)
      return { code: isGood ? 'none' : page.body, session: isIn ? 'kept' : 'ended', scope: browser.page.body }
    },
  }
}

async function isSignedIn(url: string, browser: Browser): Promise<boolean> {
  const { status } = await browser.visit(`${url}/private`, { follow: false })
  if (status !== 200 && status !== 302) throw new Error(`a guarded page answered ${status}`)
  return status === 200
}

function codeOf(events: readonly ToldEvent[], type: ToldEvent['type']): string {
  return events.find((event) => event.type === type)?.code ?? 'none'
}
