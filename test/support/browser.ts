/** An HTTP client that treats navigations, redirects, cookies and forms as a browser does. */
import { Cookie, CookieJar } from 'tough-cookie'
import { responseTo, type Page, type Request } from './browser/exchange.js'
import { formNamed, formSubmittedByItself, type Form } from './browser/form.js'
import { formActionAllows } from './browser/content-security-policy.js'
import { fetchSite, originOf, sameSiteContext, type Site } from './browser/site.js'
import { refreshTarget } from './browser/refresh.js'

export type { Page }

export interface Browser {
  /** Every response so far, of all sites. */
  readonly responses: readonly Page[]
  /** What is on the screen: the end of the last navigation. */
  readonly page: Page
  readonly jar: CookieJar
  /** Types an address. Without `follow` it stops at the first response. */
  visit(url: string, options?: { follow?: boolean }): Promise<Page>
  /** Follows a link on the present page; a relative address is resolved against it. */
  click(url: string): Promise<Page>
  /** Fills and sends the first form, or the one with this action. */
  submit(fields?: Readonly<Record<string, string>>, action?: string): Promise<Page>
  /** What a script of the present page does: no navigation, no redirect followed. */
  fetch(url: string, options?: ScriptRequest): Promise<Page>
  /** Names of the cookies kept for this address. */
  cookieNames(url: string): Promise<string[]>
}

export interface ScriptRequest {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface BrowserOptions {
  /** Takes no cookies and sends none. */
  readonly blocksCookies?: boolean
}

/** One navigation: where to, how, and the page it started from; none if the address was typed. */
interface Navigation {
  readonly method: string
  readonly url: string
  readonly body?: string
  readonly initiator: Page | undefined
  /** The page whose form began it; its policy binds every redirect that follows. */
  readonly form?: Page
}

/** As many as Chromium follows. */
const maxRedirects = 20

const navigationHeaders = {
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
  'sec-fetch-user': '?1',
  'upgrade-insecure-requests': '1',
}

const blankPage: Page = {
  method: 'GET',
  url: 'about:blank',
  requestHeaders: {},
  requestBody: undefined,
  status: 0,
  headers: {},
  setCookies: [],
  body: '',
}

/** Reads what pages need of HTML, HTTP and cookie rules; scripts are known by `submit()` alone. */
export function openBrowser({ blocksCookies = false }: BrowserOptions = {}): Browser {
  const jar = new CookieJar()
  const responses: Page[] = []
  let current = blankPage

  async function load(request: Request, site: Site): Promise<Page> {
    const cookie = blocksCookies
      ? ''
      : await jar.getCookieString(request.url, { sameSiteContext: sameSiteContext(site, request.method) })
    const page = await responseTo({
      ...request,
      headers: { ...request.headers, ...(cookie === '' ? {} : { cookie }) },
    })
    if (!blocksCookies) await keepCookies(jar, page)
    responses.push(page)
    return page
  }

  async function navigate(navigation: Navigation, follow = true): Promise<Page> {
    let chain: string[] = []
    let step: Navigation | undefined = navigation
    for (let hops = 0; step; hops += 1) {
      if (hops > maxRedirects) throw new Error(`too many redirects, at last to ${originOf(step.url)}`)
      const site = fetchSite(step.initiator?.url, [...chain, step.url])
      current = await load(requestOf(step, site, chain), site)
      const next: Navigation | undefined = follow ? nextStep(step, current) : undefined
      chain = next?.initiator === step.initiator ? [...chain, step.url] : []
      step = next
    }
    return current
  }

  return {
    responses,
    jar,
    get page() {
      return current
    },
    visit: (url, { follow = true } = {}) => navigate({ method: 'GET', url, initiator: undefined }, follow),
    click: (url) => navigate({ method: 'GET', url: resolved(url, current), initiator: current }),
    submit: (fields = {}, action) => navigate(submission(formNamed(current.body, action), current, fields)),
    fetch: async (url, { method = 'GET', headers = {}, body } = {}) => {
      const target = resolved(url, current)
      const site = fetchSite(current.url, [target])
      return load({ method, url: target, headers: scriptHeaders(current, site, method, headers), body }, site)
    },
    cookieNames: async (url) => (await jar.getCookies(url)).map(({ key }) => key),
  }
}

async function keepCookies(jar: CookieJar, { url, setCookies }: Page): Promise<void> {
  for (const header of setCookies) {
    const cookie = Cookie.parse(header)
    if (!cookie) continue
    cookie.sameSite ??= 'lax'
    await jar.setCookie(cookie, url, { ignoreError: true })
  }
}

function nextStep(step: Navigation, page: Page): Navigation | undefined {
  const { location } = page.headers
  if (page.status >= 300 && page.status < 400 && location !== undefined)
    return redirected(step, page, location)
  const refresh = refreshTarget(page)
  if (refresh !== undefined) return { method: 'GET', url: resolved(refresh, page), initiator: page }
  const form = formSubmittedByItself(page)
  return form && submission(form, page, {})
}

/** A 301 or 302 turns a POST into a GET, 303 turns all into one, 307 and 308 repeat the request. */
function redirected(step: Navigation, page: Page, location: string): Navigation {
  const url = resolved(location, page)
  if (step.form) assertFormAction(step.form, url)
  const repeats = page.status === 307 || page.status === 308
  if (repeats) return { ...step, url }
  const { body: _body, ...rest } = step
  return { ...rest, method: 'GET', url }
}

function submission(form: Form, page: Page, fields: Readonly<Record<string, string>>): Navigation {
  const body = new URLSearchParams({ ...form.fields, ...fields }).toString()
  const url = resolved(form.action, page)
  assertFormAction(page, url)
  if (form.method === 'POST') return { method: 'POST', url, body, initiator: page, form: page }
  return { method: 'GET', url: `${url.split('?')[0]}?${body}`, initiator: page, form: page }
}

function assertFormAction(page: Page, target: string): void {
  if (!formActionAllows(page, target)) throw new Error(`form-action forbids a form to ${originOf(target)}`)
}

function requestOf(
  { method, url, body, initiator }: Navigation,
  site: Site,
  visited: readonly string[],
): Request {
  return {
    method,
    url,
    body,
    headers: {
      ...navigationHeaders,
      'sec-fetch-site': site,
      ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      ...(method === 'GET' || !initiator ? {} : { origin: originHeader(initiator, [...visited, url]) }),
    },
  }
}

/** `null` when the page keeps its address to itself, or after a redirect to another origin: Fetch §3.2. */
function originHeader(initiator: Page, chain: readonly string[]): string {
  const hidden = initiator.headers['referrer-policy'] === 'no-referrer'
  const tainted = new Set(chain.map((url) => originOf(url))).size > 1
  return hidden || tainted ? 'null' : originOf(initiator.url)
}

function scriptHeaders(
  page: Page,
  site: Site,
  method: string,
  headers: Readonly<Record<string, string>>,
): Record<string, string> {
  return {
    accept: '*/*',
    'sec-fetch-mode': 'cors',
    'sec-fetch-dest': 'empty',
    'sec-fetch-site': site,
    ...(method === 'GET' || method === 'HEAD' ? {} : { origin: originOf(page.url) }),
    ...headers,
  }
}

function resolved(url: string, page: Page): string {
  return page === blankPage ? url : new URL(url, page.url).href
}
