import { describe, expect, test } from 'vitest'
import { getAuth } from '../../lib/index.js'
import { storages } from '../support/app.js'
import { metadata } from '../support/faulty-server/discovery.js'
import { bare, cookieHeader, location, ownForm, typed } from '../support/requests.js'
import { startStage, type StageOptions } from '../support/stage.js'

const withToken: StageOptions['routes'] = ({ get }) =>
  get('/csrf', (req, res) => res.end(String(getAuth(req).csrfToken)))

describe.each(storages)('with storage "%s"', (storage) => {
  test('ends the session here, then at the server with hint, client and state', async () => {
    const { app, server, signedIn } = await startStage({ storage })
    const browser = await signedIn()
    const cookie = await cookieHeader(browser, app.url)
    const page = await bare(`${app.url}/logout`, { ...ownForm, cookie }, { method: 'POST' })
    expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    const target = new URL(String(page.headers['refresh']).replace('0; url=', ''))
    expect(`${target.origin}${target.pathname}`).toBe(`${server.issuer}/end-session`)
    expect(Object.fromEntries(target.searchParams)).toEqual({
      client_id: server.clientId,
      id_token_hint: expect.stringMatching(/^ey/),
      post_logout_redirect_uri: `${app.url}/`,
      state: expect.stringMatching(/^[\w-]{43}$/),
    })
    expect(app.events.at(-1)).toMatchObject({ type: 'logout' })
  })

  const requests: [who: string, headers: Record<string, string>, status: number][] = [
    ['a form of this site', { 'sec-fetch-site': 'same-origin' }, 200],
    ['the user, by hand', { 'sec-fetch-site': 'none' }, 200],
    ['a form of another site', { 'sec-fetch-site': 'cross-site' }, 403],
    ['a form of a sibling domain', { 'sec-fetch-site': 'same-site' }, 403],
    ['an older browser, by Origin', { origin: 'SELF' }, 200],
    ['an older browser on another site', { origin: 'https://evil.example' }, 403],
    ['an opaque origin', { origin: 'null' }, 403],
    ['a client that says nothing', {}, 403],
  ]
  test.each(requests)('%s', async (_who, headers, status) => {
    const { app, signedIn } = await startStage({ storage })
    const cookie = await cookieHeader(await signedIn(), app.url)
    const from = headers['origin'] === 'SELF' ? { origin: app.url } : headers
    const page = await bare(`${app.url}/logout`, { accept: 'text/html', cookie, ...from }, { method: 'POST' })
    expect(page.status).toBe(status)
    const after = await bare(`${app.url}/private`, { accept: 'application/json', cookie })
    expect(after.status).toBe(status === 403 ? 200 : 401)
  })

  test('a field csrf_token will do where the browser says nothing, but only the right one', async () => {
    const { app, signedIn } = await startStage({ storage, routes: withToken })
    const browser = await signedIn()
    const { body: token } = await browser.visit(`${app.url}/csrf`)
    const cookie = await cookieHeader(browser, app.url)
    const form = { cookie, accept: 'text/html', 'content-type': 'application/x-www-form-urlencoded' }
    const post = (body: string) => bare(`${app.url}/logout`, form, { method: 'POST', body })
    expect((await post(`csrf_token=${token.slice(0, -1)}`)).status).toBe(403)
    expect((await post('csrf_token=')).status).toBe(403)
    expect((await post(`csrf_token=${token}`)).status).toBe(200)
  })
})

test('a link signs nobody out, unless the options say so', async () => {
  const { app, signedIn } = await startStage()
  const cookie = await cookieHeader(await signedIn(), app.url)
  const page = await bare(`${app.url}/logout`, { ...typed, cookie })
  expect([page.status, page.headers['allow'], page.setCookies]).toEqual([405, 'POST', []])
})

test('with logoutByGet a link of this site signs out, and a picture on another does not', async () => {
  const { app, server, signedIn } = await startStage({ options: { logoutByGet: true } })
  const cookie = await cookieHeader(await signedIn(), app.url)
  const visit = (site: string) => bare(`${app.url}/logout`, { ...typed, cookie, 'sec-fetch-site': site })
  expect((await visit('cross-site')).status).toBe(403)
  const page = await visit('same-origin')
  expect([page.status, new URL(location(page)).origin]).toEqual([303, server.issuer])
})

test('with logoutByGet no picture, script or prefetch signs anybody out, not even of this site', async () => {
  const { app, signedIn } = await startStage({ options: { logoutByGet: true } })
  const cookie = await cookieHeader(await signedIn(), app.url)
  const own = { 'sec-fetch-site': 'same-origin', cookie }
  for (const headers of [
    { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
    { 'sec-fetch-mode': 'cors', 'x-csrf': '1' },
    { ...typed, 'sec-purpose': 'prefetch' },
  ]) {
    const page = await bare(`${app.url}/logout`, { ...headers, ...own })
    expect([page.status, page.setCookies]).toEqual([403, []])
  }
  expect(app.events.filter(({ type }) => type === 'logout')).toEqual([])
  expect((await bare(`${app.url}/private`, { ...typed, cookie })).status).toBe(200)
})

test('without an end-session endpoint the user stays on this site, where the form says', async () => {
  const { app, signedIn } = await startStage({
    server: { fault: { metadata: (op) => ({ ...metadata(op), end_session_endpoint: undefined }) } },
    options: { postLogoutReturnTo: '/bye' },
  })
  const cookie = await cookieHeader(await signedIn(), app.url)
  const post = (body: string) => bare(`${app.url}/logout`, { ...ownForm, cookie }, { method: 'POST', body })
  expect(location(await post(''))).toBe('/bye')
  expect(location(await post('returnTo=/shop?x=1'))).toBe('/shop?x=1')
  expect(location(await post('returnTo=//evil.example'))).toBe('/bye')
  expect(location(await post('returnTo=/login'))).toBe('/bye')
})

test('a script is told where to go', async () => {
  const { app, server, signedIn } = await startStage()
  const cookie = await cookieHeader(await signedIn(), app.url)
  const headers = { cookie, 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-origin' }
  const answer = await bare(`${app.url}/logout`, headers, { method: 'POST' })
  expect(answer.status).toBe(200)
  expect(new URL(JSON.parse(answer.body).location).origin).toBe(server.issuer)
})

test('nobody signed in: nothing happens, politely', async () => {
  const { app } = await startStage()
  const page = await bare(`${app.url}/logout`, ownForm, { method: 'POST' })
  expect([page.status, location(page)]).toEqual([303, '/'])
})
