/** How a login ended, as data: what the browser got, what the server saw, and every rule that was broken. */
import { expect } from 'vitest'
import type { Page } from '../support/browser.js'
import { replayed } from '../support/browser/exchange.js'
import type { LoginRun } from './login-run.js'

export interface Outcome {
  readonly status: number
  /** Whether a guarded page lets the browser in afterwards. */
  readonly signedIn: boolean
  readonly tokenRequests: number
  readonly userinfoRequests: number
  /** Transaction cookies that are left. */
  readonly openLogins: number
  /** One line per broken rule; empty in every run, however it ends. */
  readonly violations: readonly string[]
}

/** Of an outcome only what differs from the usual one; a status can be one of several. */
export type Expected = Partial<Omit<Outcome, 'status' | 'signedIn' | 'violations'>> & {
  readonly status?: number | readonly number[]
}

const transactionCookie = /^(?:__Host-)?oauth\.login\./
const sessionCookie = /^(?:__Host-)?oauth(?:\.\d+)?=(?!;|"")/

export function signedIn(expected: Expected = {}): unknown {
  return {
    status: 200,
    signedIn: true,
    tokenRequests: 1,
    userinfoRequests: 1,
    openLogins: 0,
    violations: [],
    ...expected,
  }
}

export function refused({ status = 400, ...expected }: Expected = {}): unknown {
  return {
    status: expect.toBeOneOf([status].flat()),
    signedIn: false,
    tokenRequests: 1,
    userinfoRequests: 0,
    openLogins: 0,
    violations: [],
    ...expected,
  }
}

export async function outcome(run: LoginRun, page: Page): Promise<Outcome> {
  const { token, userinfo } = run.server.counts
  const openLogins = (await run.browser.cookieNames(run.app.callbackUrl)).filter(isTransaction).length
  const codeUsedAgain = await usesCodeAgain(run)
  const isSignedIn = await canEnter(run)
  return {
    status: page.status,
    signedIn: isSignedIn,
    tokenRequests: token,
    userinfoRequests: userinfo,
    openLogins,
    violations: [
      ...(isSignedIn ? [] : [...errorPageViolations(page), ...sessionCookieViolations(run)]),
      ...(codeUsedAgain ? ['a second request of the callback asks for tokens again'] : []),
      ...repeatingRedirects(run),
      ...run.server.complaints,
      ...run.server.elsewhere.map((request) => `request to another origin: ${request}`),
      ...run.leaks().map((leak) => `leak: ${leak}`),
    ],
  }
}

/** What a page about a failure has to be: uncacheable, silent towards others, with no content of strangers. */
function errorPageViolations({ headers, body }: Page): string[] {
  const broken: Record<string, boolean> = {
    'not HTML in UTF-8': !/^text\/html; *charset=utf-8$/i.test(headers['content-type'] ?? ''),
    'without no-store': !/\bno-store\b/.test(headers['cache-control'] ?? ''),
    'without Referrer-Policy no-referrer': headers['referrer-policy'] !== 'no-referrer',
    "without default-src 'none'": !String(headers['content-security-policy']).includes("default-src 'none'"),
    'without nosniff': headers['x-content-type-options'] !== 'nosniff',
    'with markup of the server': /<script|<svg|<img|<b>/i.test(body),
  }
  return Object.keys(broken)
    .filter((rule) => broken[rule])
    .map((rule) => `error page ${rule}`)
}

function sessionCookieViolations(run: LoginRun): string[] {
  return appPages(run)
    .filter(({ setCookies }) => setCookies.some((header) => sessionCookie.test(header)))
    .map(({ method, url }) => `session cookie set by ${method} ${new URL(url).pathname}`)
}

/** A 307 or 308 would hand a posted form on. */
function repeatingRedirects(run: LoginRun): string[] {
  return appPages(run)
    .filter(({ status }) => status === 307 || status === 308)
    .map(({ status, url }) => `redirect ${status} by ${new URL(url).pathname}`)
}

/** Also with the transaction cookie of the first time, as two requests of one moment have it. */
async function usesCodeAgain(run: LoginRun): Promise<boolean> {
  const callback = appPages(run).findLast(({ url }) => url.startsWith(run.app.callbackUrl))
  if (!callback) return false
  const before = run.server.counts.token
  await replayed(callback)
  return run.server.counts.token > before
}

async function canEnter({ app, browser }: LoginRun): Promise<boolean> {
  const { status, headers } = await browser.visit(`${app.url}/private`, { follow: false })
  if (status === 200) return true
  expect({ status, location: headers.location }).toEqual({
    status: 302,
    location: expect.stringMatching(/\/(?:login|authorize)\?/),
  })
  return false
}

function isTransaction(cookieName: string): boolean {
  return transactionCookie.test(cookieName)
}

function appPages({ app, browser }: LoginRun): Page[] {
  return browser.responses.filter(({ url }) => url.startsWith(app.url))
}
