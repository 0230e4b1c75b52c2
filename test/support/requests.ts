/** Requests as no browser would send them, and what their answers say. */
import { request as httpRequest } from 'node:http'
import type { Browser, Page } from './browser.js'
import { responseTo } from './browser/exchange.js'

/** Headers of a page visit by address. */
export const typed = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'none' } as const

/** Headers of a form of the application's own pages. */
export const ownForm = {
  ...typed,
  'sec-fetch-site': 'same-origin',
  'content-type': 'application/x-www-form-urlencoded',
} as const

/** Headers of a script of the application's own pages. */
export const ownScript = {
  accept: '*/*',
  'sec-fetch-mode': 'cors',
  'sec-fetch-dest': 'empty',
  'sec-fetch-site': 'same-origin',
  'x-csrf': '1',
} as const

/** A request with these headers and no others. */
export async function bare(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  { method = 'GET', body }: { method?: string; body?: string } = {},
): Promise<Page> {
  return responseTo({ method, url, headers, body })
}

/** A request whose target is a whole address, as proxies get it. */
export async function absoluteForm(
  origin: string,
  target: string,
  headers: Readonly<Record<string, string>>,
): Promise<Pick<Page, 'url' | 'status' | 'headers'>> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(origin, { path: target, headers, agent: false }, (response) => {
      response.resume()
      response.on('end', () =>
        resolve({ url: target, status: response.statusCode ?? 0, headers: response.headers }),
      )
    })
    request.on('error', reject).end()
  })
}

/** Where a response leads; fails the test when it leads nowhere. */
export function location({ url, status, headers }: Pick<Page, 'url' | 'status' | 'headers'>): string {
  if (headers.location !== undefined) return headers.location
  throw new Error(`${url} answered ${status}, which is no redirect`)
}

/** A parameter of the address that a response leads to. */
export function sentParameter(page: Pick<Page, 'url' | 'status' | 'headers'>, name: string): string | null {
  return new URL(location(page)).searchParams.get(name)
}

const sessionCookie = /^(?:__Host-)?(?:oauth(?:\.\d+)?|connect\.sid)=(?!;)/

/** Whether a response begins a session or goes on with one. */
export function setsSession({ setCookies }: Page): boolean {
  return setCookies.some((header) => sessionCookie.test(header))
}

/** All cookies of a browser for an address, as a header. */
export async function cookieHeader({ jar }: Browser, url: string): Promise<string> {
  return jar.getCookieString(url)
}

/** The cookies of a browser whose name fits. */
export async function cookiesOf(
  { jar }: Browser,
  url: string,
  name: RegExp,
): Promise<{ name: string; value: string }[]> {
  const cookies = await jar.getCookies(url)
  return cookies.filter(({ key }) => name.test(key)).map(({ key, value }) => ({ name: key, value }))
}

/** A Cookie header after a response: what it sets takes the place of what was there. */
export function withNewCookies(cookie: string, { setCookies }: Pick<Page, 'setCookies'>): string {
  const pairs = [...cookie.split('; '), ...setCookies.map((header) => header.split(';', 1)[0] ?? '')]
  return [...new Map(pairs.map((pair) => [pair.split('=', 1)[0], pair])).values()].join('; ')
}
