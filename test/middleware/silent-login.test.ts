import { describe, expect, test } from 'vitest'
import { startLogin, type StartLoginOptions } from '../../lib/index.js'
import { storages } from '../support/app.js'
import { openBrowser } from '../support/browser.js'
import type { Fault } from '../support/faulty-server.js'
import { authorizationError, authorizationResponse } from '../support/faulty-server/authorization.js'
import { idTokenClaims } from '../support/faulty-server/id-token.js'
import {
  bare,
  cookieHeader,
  cookiesOf,
  location,
  sentParameter,
  setsSession,
  typed,
} from '../support/requests.js'
import { startStage, type StageOptions } from '../support/stage.js'

const codes = ['login_required', 'interaction_required', 'consent_required', 'account_selection_required']

/** A server that answers silent logins with this error, and all others well. */
function refusingSilence(error: string): Fault {
  return {
    authorizationResponse: (op, authorization) =>
      authorization.parameters.get('prompt') === 'none'
        ? authorizationError(op, authorization, error, '&error=none#"><script>')
        : authorizationResponse(op, authorization),
  }
}

const signedInAs = (sub: string): Fault => ({
  idTokenClaims: (op, authorization) => ({ ...idTokenClaims(op, authorization), sub }),
})

const silent = (returnTo: string, more = {}) =>
  `/login?${new URLSearchParams({ prompt: 'none', returnTo, ...more }).toString()}`

async function stage(options: StageOptions = {}, start?: StartLoginOptions) {
  const made = await startStage({
    ...options,
    routes: (router) => {
      options.routes?.(router)
      router.get('/start', (req, res) => startLogin(req, res, start))
    },
  })
  const { app, server, pending } = made
  return {
    ...made,
    /** Where a silent login of this browser leads in the end. */
    async silently(browser = openBrowser(), path = silent('/open')) {
      const back = await pending(browser, path)
      return browser.visit(back, { follow: false })
    },
    failures: () => app.events.flatMap((event) => (event.type === 'login_failed' ? [event.code] : [])),
    lastAuthorization: () => server.requests.findLast(({ endpoint }) => endpoint === 'authorize')?.query,
  }
}

describe.each(storages)('a silent login with storage "%s"', (storage) => {
  test('sends "prompt=none" and signs in like any other', async () => {
    const { app, silently, lastAuthorization } = await stage({ storage })
    const browser = openBrowser()
    const page = await silently(browser, silent('/open?a=1'))
    expect([page.status, location(page), setsSession(page)]).toEqual([303, '/open?a=1', true])
    expect(lastAuthorization()?.get('prompt')).toBe('none')
    expect(lastAuthorization()?.has('id_token_hint')).toBe(false)
    expect((await browser.visit(`${app.url}/private`)).status).toBe(200)
    expect(app.events.map(({ type }) => type)).toContain('login')
  })

  test.each(codes)('goes back with "%s", and tells it', async (code) => {
    const { silently, failures } = await stage({ storage, server: { fault: refusingSilence(code) } })
    const page = await silently(undefined, silent('/open?a=1&b=%20#top'))
    expect([page.status, location(page)]).toEqual([303, `/open?a=1&b=%20&error=${code}#top`])
    expect(page.headers['cache-control']).toBe('no-store')
    expect(setsSession(page)).toBe(false)
    expect(failures()).toEqual([code])
  })

  test('that fails leaves the session as it is', async () => {
    const { app, server, signedIn, silently } = await stage({ storage })
    const browser = await signedIn()
    const before = await cookieHeader(browser, app.url)
    server.misbehave(refusingSilence('login_required'))
    expect(location(await silently(browser))).toBe('/open?error=login_required')
    expect(await cookieHeader(browser, app.url)).toBe(before)
    expect((await browser.visit(`${app.url}/private`)).url).toBe(`${app.url}/private`)
  })

  test('renews the tokens of the session, with the scopes that were granted, and tells the server whose it is', async () => {
    const { app, signedIn, silently, lastAuthorization } = await stage(
      { storage },
      { scope: 'read:projects', returnTo: '/open' },
    )
    const browser = await signedIn()
    await browser.visit(`${app.url}/start`)
    expect(setsSession(await silently(browser))).toBe(true)
    expect(lastAuthorization()?.get('scope')).toBe('openid read:projects')
    const hint = lastAuthorization()?.get('id_token_hint') ?? ''
    expect(JSON.parse(Buffer.from(hint.split('.')[1] ?? '', 'base64url').toString())).toMatchObject({
      sub: 'subject-1',
    })
  })

  test('another user does not take the place of the one whose session it is', async () => {
    const seen: unknown[] = []
    const { app, server, signedIn, silently, failures } = await stage({
      storage,
      options: { onLogin: ({ claims }) => void seen.push(claims['sub']) },
    })
    const browser = await signedIn()
    server.misbehave(signedInAs('subject-2'))
    expect(location(await silently(browser))).toBe('/open?error=login_required')
    expect(failures()).toEqual(['login_required'])
    expect(app.events.at(-1)).toMatchObject({ error: { reason: 'other_subject' } })
    expect(seen).toEqual(['subject-1'])
    expect(JSON.parse((await browser.visit(`${app.url}/private`)).body)).toMatchObject({ sub: 'subject-1' })
    await expect.poll(() => server.counts.revocation).toBeGreaterThan(0)
  })
})

describe('the user that a page wants back', () => {
  test.each([
    ['subject-1', '/open', true],
    ['subject-2', '/open?error=login_required', false],
  ])('%s: %s', async (subject, target, isSignedIn) => {
    const { silently } = await stage()
    const page = await silently(undefined, silent('/open', { subject }))
    expect([location(page), setsSession(page)]).toEqual([target, isSignedIn])
  })

  test('counts more than the session, whose ID token is kept to itself then', async () => {
    const { server, signedIn, silently, lastAuthorization } = await stage()
    const browser = await signedIn()
    server.misbehave(signedInAs('subject-2'))
    const page = await silently(browser, silent('/open', { subject: 'subject-2' }))
    expect([location(page), lastAuthorization()?.has('id_token_hint')]).toEqual(['/open', false])
  })

  test('has a name that can be one, and means nothing to other logins', async () => {
    const { app, silently } = await stage()
    for (const subject of ['', 'é', 'x'.repeat(256)])
      expect((await bare(app.url + silent('/open', { subject }), typed)).status).toBe(400)
    const page = await silently(undefined, '/login?returnTo=/open&subject=subject-2')
    expect([location(page), setsSession(page)]).toEqual(['/open', true])
  })
})

test('an ID token too long for an address is not sent', async () => {
  const fault: Fault = {
    idTokenClaims: (op, authorization) => ({
      ...idTokenClaims(op, authorization),
      groups: 'g'.repeat(3_200),
    }),
  }
  const { signedIn, silently, lastAuthorization } = await stage({ storage: 'session', server: { fault } })
  const page = await silently(await signedIn())
  expect([location(page), lastAuthorization()?.has('id_token_hint')]).toEqual(['/open', false])
})

describe('where a silent login goes back to', () => {
  test.each([
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    '/login?prompt=none',
    '/callback',
    '/.//evil.example',
  ])('%s is replaced by the default', async (returnTo) => {
    const { silently } = await stage({ server: { fault: refusingSilence('login_required') } })
    expect(location(await silently(undefined, silent(returnTo)))).toBe('/?error=login_required')
  })

  const written: [returnTo: string, refused: string, done: string][] = [
    ['/open', '/open?error=login_required', '/open'],
    ['/open?', '/open?error=login_required', '/open'],
    ['/open#a?b', '/open?error=login_required#a?b', '/open#a?b'],
    ['/open?error=none', '/open?error=login_required', '/open'],
    ['/open?a=1&%65rror=x&b&error', '/open?a=1&b&error=login_required', '/open?a=1&b'],
    ['/open?error[]=x&[error]=y&error%5B0%5D=z', '/open?error=login_required', '/open'],
    ['/open?errors=1&error_description=2', '/open?errors=1&error_description=2&error=login_required', ''],
    ['/open?a=x%26error%3Dy&q=a+b', '/open?a=x%26error%3Dy&q=a+b&error=login_required', ''],
  ]
  test.each(written)('%s has no error but ours', async (returnTo, refused, done) => {
    const { server, silently } = await stage()
    expect(location(await silently(undefined, silent(returnTo)))).toBe(done || returnTo)
    server.misbehave(refusingSilence('login_required'))
    expect(location(await silently(undefined, silent(returnTo)))).toBe(refused)
  })
})

describe('what is no matter of silence', () => {
  const errors: [code: string, shown: string, status: number][] = [
    ['access_denied', 'access_denied', 403],
    ['server_error', 'server_error', 502],
    ['invalid_request', 'invalid_request', 400],
    ['no_such_code', 'server_refused', 400],
    ['Login_Required', 'server_refused', 400],
    ['login_required\r\nset-cookie: a=b', 'server_refused', 400],
  ]
  test.each(errors)('the error "%s" is shown as ever', async (error, shown, status) => {
    const { silently, failures } = await stage({ server: { fault: refusingSilence(error) } })
    const page = await silently()
    expect([page.status, page.headers.location, failures()]).toEqual([status, undefined, [shown]])
  })

  test('an answer to another login is no answer to a silent one', async () => {
    const { silently, lastAuthorization } = await stage({ server: { fault: 'state-of-another-login' } })
    const page = await silently()
    // The login that takes its place may show pages: this is no frame.
    expect([page.status, sentParameter(page, 'prompt')]).toEqual([302, null])
    expect(lastAuthorization()?.get('prompt')).toBe('none')
  })

  test('a wrong "iss" counts before the error does', async () => {
    const { silently, failures } = await stage({
      server: {
        fault: {
          authorizationResponse: (op, authorization) => {
            const response = authorizationError(op, authorization, 'login_required', '')
            response.set('iss', 'https://other.example')
            return response
          },
        },
      },
    })
    expect((await silently()).status).toBe(400)
    expect(failures()).toEqual(['issuer_mismatch'])
  })

  test('a login that may show pages ends on one', async () => {
    const { silently } = await stage({ server: { fault: 'error-login-required' } })
    const page = await silently(undefined, '/login?returnTo=/open')
    expect([page.status, page.headers.location]).toEqual([400, undefined])
  })

  test('nor does an option for all logins make them silent: its pages would go round', async () => {
    const { silently } = await stage({
      options: { authorizationParameters: { prompt: 'none' } },
      server: { fault: 'error-login-required' },
    })
    const page = await silently(undefined, '/login?returnTo=/private')
    expect([page.status, page.headers.location]).toEqual([400, undefined])
  })
})

test('the query can ask for silence and for no other prompt', async () => {
  const { app } = await stage({ options: { authorizationParameters: { prompt: 'consent' } } })
  const prompt = async (query: string) =>
    sentParameter(await bare(`${app.url}/login?${query}`, typed), 'prompt')
  expect(await prompt('prompt=none')).toBe('none')
  for (const other of ['login', 'none%20login', 'NONE', ''])
    expect(await prompt(`prompt=${other}`)).toBe('consent')
  expect((await bare(`${app.url}/login?prompt=none&prompt=login`, typed)).status).toBe(400)
})

test('startLogin from a handler does the same', async () => {
  const { app, server, signedIn, silently } = await stage(
    {},
    { parameters: { prompt: 'none' }, returnTo: '/open?error=old&a=1' },
  )
  const browser = await signedIn()
  expect(location(await silently(browser, '/start'))).toBe('/open?a=1')
  server.misbehave(signedInAs('subject-2'))
  expect(location(await silently(browser, '/start'))).toBe('/open?a=1&error=login_required')
  server.misbehave(refusingSilence('consent_required'))
  expect(location(await silently(browser, '/start'))).toBe('/open?a=1&error=consent_required')
  expect((await browser.visit(`${app.url}/private`)).status).toBe(200)
})

test('a page that needs a user goes to the login after a silent one has failed: no circle, no false alarm', async () => {
  const { app, server, silently, signedIn } = await stage({
    server: { fault: refusingSilence('login_required') },
  })
  const stranger = openBrowser()
  const back = await silently(stranger, silent('/private'))
  expect(await cookiesOf(stranger, app.url, /fresh/)).toEqual([])
  const page = await stranger.visit(app.url + location(back))
  expect([page.status, page.url]).toEqual([200, `${app.url}/private?error=login_required`])

  const browser = await signedIn()
  const remembered = await cookiesOf(browser, app.url, /fresh/)
  await silently(browser)
  expect(await cookiesOf(browser, app.url, /fresh/)).toEqual(remembered)
  server.misbehave()
  await silently(browser)
  expect(await cookiesOf(browser, app.url, /fresh/)).not.toEqual(remembered)
  expect((await browser.visit(`${app.url}/private`)).status).toBe(200)
})

test('a sign-out at the server while it was under way has the server asked again, as silently and for the same user', async () => {
  const { app, server, signedIn, pending } = await stage({
    options: { paths: { backchannelLogout: '/backchannel' } },
  })
  const browser = await signedIn()
  const back = await pending(browser, silent('/open'))
  const token = await server.logoutToken()
  const told = await bare(
    `${app.url}/backchannel`,
    { 'content-type': 'application/x-www-form-urlencoded' },
    { method: 'POST', body: new URLSearchParams({ logout_token: token }).toString() },
  )
  expect(told.status).toBe(200)
  const again = await browser.visit(back, { follow: false })
  expect(sentParameter(again, 'prompt')).toBe('none')
  server.misbehave(signedInAs('subject-2'))
  const answer = await browser.visit(location(again), { follow: false })
  expect(location(await browser.visit(location(answer), { follow: false }))).toBe(
    '/open?error=login_required',
  )
})

describe('in a frame', () => {
  const frame = (site: string) => ({ ...typed, 'sec-fetch-dest': 'iframe', 'sec-fetch-site': site })

  test('of a page of this site it begins, and ends although the answer comes from the server', async () => {
    const { app, server } = await stage()
    const login = await bare(app.url + silent('/open'), frame('same-origin'))
    const cookie = login.setCookies.map((header) => header.split(';', 1)[0]).join('; ')
    const back = location(await bare(location(login)))
    const end = await bare(back, { ...frame('cross-site'), cookie })
    expect([end.status, location(end), setsSession(end)]).toEqual([303, '/open', true])

    server.misbehave(refusingSilence('interaction_required'))
    const second = await bare(app.url + silent('/open'), frame('same-origin'))
    const refused = await bare(location(await bare(location(second))), {
      ...frame('cross-site'),
      cookie: second.setCookies.map((header) => header.split(';', 1)[0]).join('; '),
    })
    expect([refused.status, location(refused)]).toEqual([303, '/open?error=interaction_required'])
  })

  test('of another page it is refused', async () => {
    const { app, server } = await stage()
    for (const site of ['cross-site', 'same-site'])
      for (const path of [silent('/open'), '/login']) {
        const login = await bare(app.url + path, frame(site))
        expect([login.status, login.setCookies]).toEqual([401, []])
      }
    expect(server.counts.authorize).toBe(0)
  })

  test('an answer that belongs to no login starts none', async () => {
    const { pending, failures } = await stage()
    const back = await pending(openBrowser(), silent('/open'))
    const answer = await bare(back, frame('cross-site'))
    expect([answer.status, answer.headers.location, failures()]).toEqual([400, undefined, ['unknown_state']])
  })
})
