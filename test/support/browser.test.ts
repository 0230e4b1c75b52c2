/** The browser double keeps to the rules that flows depend on. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { openBrowser, type Browser } from './browser.js'
import { listening, stopped } from './listening.js'

type Route = (request: IncomingMessage, response: ServerResponse) => void

let routes: Record<string, Route>
let here: string
let elsewhere: string
let browser: Browser

beforeEach(async () => {
  routes = { '/': page('<title>home</title>'), '/end': page('<title>end</title>') }
  here = await serve('localhost')
  elsewhere = await serve('127.0.0.1')
  browser = openBrowser()
})

describe('Sec-Fetch-Site', () => {
  it('is none for a typed address, through redirects to other sites too', async () => {
    routes['/away'] = redirect(() => `${elsewhere}/end`)
    expect(sites(await visited('/away'))).toEqual(['none', 'none'])
  })

  it('is same-origin for a link, and cross-site once a redirect has left the site', async () => {
    routes['/away'] = redirect(() => `${elsewhere}/back`)
    routes['/back'] = redirect(() => `${here}/end`)
    await browser.visit(here)
    await browser.click('/away')
    expect(sites(browser).slice(1)).toEqual(['same-origin', 'cross-site', 'cross-site'])
  })

  it('is same-site for another port of the same host', async () => {
    const neighbour = await serve('localhost')
    await browser.visit(here)
    await browser.click(`${neighbour}/end`)
    expect(sites(browser)).toEqual(['none', 'same-site'])
  })
})

describe('cookies', () => {
  const cookies = [
    'strict=1; SameSite=Strict',
    'lax=1; SameSite=Lax',
    'plain=1',
    'none=1; SameSite=None; Secure',
  ]

  beforeEach(async () => {
    routes['/set'] = (_request, response) => response.setHeader('set-cookie', cookies).end()
    routes['/link'] = page('')
    routes['/form'] = page(`<form method="post" action="${here}/end"></form>`)
    await browser.visit(`${here}/set`)
  })

  it('all go along on the own site, Secure ones on loopback too', async () => {
    await browser.visit(`${here}/end`)
    expect(cookiesSent()).toEqual(['lax', 'none', 'plain', 'strict'])
  })

  it('but Strict go along with a link of another site', async () => {
    await browser.visit(`${elsewhere}/link`)
    await browser.click(`${here}/end`)
    expect(cookiesSent()).toEqual(['lax', 'none', 'plain'])
  })

  it('with SameSite=None alone go along with a form of another site', async () => {
    await browser.visit(`${elsewhere}/form`)
    await browser.submit()
    expect(cookiesSent()).toEqual(['none'])
  })

  it('stay away from a browser that blocks them', async () => {
    browser = openBrowser({ blocksCookies: true })
    await visited('/set')
    await visited('/end')
    expect(cookiesSent()).toEqual([])
  })
})

describe('forms', () => {
  it('are filled, posted with their origin and followed by GET', async () => {
    routes['/form'] = page('<form method="post" action="/post"><input name="a" value="1 &amp; 2"></form>')
    routes['/post'] = redirect(() => '/end')
    await visited('/form')
    const end = await browser.submit({ b: '3' })
    expect(end).toMatchObject({ method: 'GET', url: `${here}/end` })
    expect(browser.responses.at(-2)).toMatchObject({
      method: 'POST',
      requestHeaders: { origin: here, 'content-type': 'application/x-www-form-urlencoded' },
    })
  })

  it('hide their origin when the page has no referrer', async () => {
    routes['/form'] = page('<form method="post" action="/end"></form>', { 'referrer-policy': 'no-referrer' })
    await visited('/form')
    expect((await browser.submit()).requestHeaders['origin']).toBe('null')
  })

  it('are sent by a script of the page, unless its policy has no inline scripts', async () => {
    const form = '<body onload="document.forms[0].submit()"><form method="post" action="/end"></form>'
    routes['/auto'] = page(form)
    routes['/policy'] = page(form, { 'content-security-policy': "default-src 'none'" })
    expect((await visited('/auto')).page.url).toBe(`${here}/end`)
    expect((await visited('/policy')).page.url).toBe(`${here}/policy`)
  })

  it('do not lead where form-action forbids it, also not by a redirect', async () => {
    const policy = { 'content-security-policy': "form-action 'self'" }
    routes['/form'] = page('<form method="post" action="/on"></form>', policy)
    routes['/on'] = redirect(() => '/away')
    routes['/away'] = redirect(() => `${elsewhere}/end`)
    await visited('/form')
    await expect(browser.submit()).rejects.toThrow('form-action')
  })
})

describe('a page that moves on', () => {
  it.each([
    ['by header', page('', { refresh: '0; url=/end' })],
    ['by meta element', page('<meta http-equiv="refresh" content="0; url=/end?a=1&amp;b=2">')],
  ])('%s is followed', async (_way, route) => {
    routes['/moving'] = route
    expect((await visited('/moving')).page.url).toMatch(new RegExp(`^${here}/end`))
  })

  it('for ever is given up', async () => {
    routes['/loop'] = redirect(() => '/loop')
    await expect(visited('/loop')).rejects.toThrow('too many redirects')
  })
})

describe('a script', () => {
  it('sends no navigation and follows no redirect', async () => {
    routes['/api'] = redirect(() => '/end')
    await visited('/')
    const answer = await browser.fetch('/api')
    expect(answer).toMatchObject({
      status: 302,
      requestHeaders: { 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-origin' },
    })
    expect(browser.page.url).toBe(`${here}/`)
  })
})

async function serve(host: string): Promise<string> {
  const server = createServer((request, response) => {
    const route = routes[new URL(request.url ?? '/', 'http://host').pathname]
    if (route) route(request, response)
    else response.writeHead(404).end()
  })
  onTestFinished(() => stopped(server))
  return listening(server, host)
}

function page(body: string, headers: Record<string, string> = {}): Route {
  return (_request, response) =>
    response.writeHead(200, { 'content-type': 'text/html', ...headers }).end(body)
}

function redirect(location: () => string): Route {
  return (_request, response) => response.writeHead(302, { location: location() }).end()
}

async function visited(path: string): Promise<Browser> {
  await browser.visit(here + path)
  return browser
}

function sites({ responses }: Browser): unknown[] {
  return responses.map(({ requestHeaders }) => requestHeaders['sec-fetch-site'])
}

function cookiesSent(): string[] {
  const header = browser.responses.at(-1)?.requestHeaders['cookie'] ?? ''
  return [...header.matchAll(/(\w+)=/g)].map(([, name = '']) => name).toSorted()
}
