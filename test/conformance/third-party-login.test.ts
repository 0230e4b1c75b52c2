/** The module for logins that others ask for: `oidcc-client-test-3rd-party-init-login-test-plan`. */
import express from 'express'
import { describe, expect, it } from 'vitest'
import { frameworks, storages } from '../support/app.js'
import { openBrowser } from '../support/browser.js'
import { bare, location, sentParameter, setsSession, typed } from '../support/requests.js'
import { serve, type Handler } from '../support/serve.js'
import { startStage, type Stage, type StageOptions } from '../support/stage.js'
import { startRun } from './login-run.js'
import { outcome, signedIn } from './outcome.js'

const apps = frameworks.flatMap((framework) => storages.map((storage) => ({ framework, storage })))

describe.each(apps)('Third-party initiated login on $framework with storage $storage', (app) => {
  it('oidcc-client-test-3rd-party-init-login', async () => {
    const run = await startRun({ server: { fault: 'oidcc-client-test-3rd-party-init-login' }, app })
    await run.login()
    const query = new URLSearchParams({ iss: run.server.issuer, target_link_uri: `${run.app.url}/private` })
    const page = await run.browser.visit(`${run.app.url}/login?${query.toString()}`)
    expect(page.url).toBe(`${run.app.url}/private`)
    expect(await outcome(run, page)).toEqual(signedIn({ tokenRequests: 2, userinfoRequests: 2 }))
  })

  it('the same by a form of another site', async () => {
    const stage = await startStage(app)
    const page = await posted(stage, { iss: stage.server.issuer, target_link_uri: '/private' })
    expect([page.status, page.url]).toEqual([200, `${stage.app.url}/private`])
    expect(page.statuses[0]).toBe(303)
  })
})

/** A page of somebody else whose form asks for a login. */
async function posted({ app }: Stage, fields: Record<string, string>) {
  const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`)
  const portal = await serve(() => (_request, response) => {
    response.setHeader('content-type', 'text/html')
    response.end(`<form method="post" action="${app.url}/login">${inputs.join('')}</form>`)
  })
  const browser = openBrowser()
  await browser.visit(portal)
  const { status, url } = await browser.submit()
  return { status, url, statuses: browser.responses.slice(1).map((response) => response.status) }
}

/** The first answer to what somebody asks for. */
async function asked(fields: (issuer: string, url: string) => string, options: StageOptions = {}) {
  const stage = await startStage(options)
  const query = fields(encodeURIComponent(stage.server.issuer), encodeURIComponent(stage.app.url))
  const form = {
    ...typed,
    'content-type': 'application/x-www-form-urlencoded',
    'sec-fetch-site': 'cross-site',
  }
  const byGet = await bare(`${stage.app.url}/login?${query}`, { ...typed, 'sec-fetch-site': 'cross-site' })
  const byPost = await bare(`${stage.app.url}/login`, form, { method: 'POST', body: query })
  return { ...stage, byGet, byPost, answers: [byGet, byPost] }
}

describe('the issuer', () => {
  it.each<[string, (issuer: string) => string]>([
    ['with a slash', (issuer) => `iss=${issuer}%2F`],
    ['in capitals', (issuer) => `iss=${issuer.replace('http', 'HTTP')}`],
    ['of somebody else', () => 'iss=https%3A%2F%2Fevil.example'],
    ['that is empty', () => 'iss='],
  ])('%s is refused', async (_what, fields) => {
    const { answers, app, server } = await asked(fields)
    expect(answers.map(({ status }) => status)).toEqual([400, 400])
    for (const page of answers)
      expect([page.setCookies, page.body]).toEqual([[], expect.stringContaining('issuer_mismatch')])
    expect(app.events.at(-1)).toMatchObject({ type: 'login_failed', code: 'issuer_mismatch' })
    expect(server.requests).toEqual([])
  })

  it('has no equal at a server without a name', async () => {
    const { answers } = await asked(() => 'iss=https%3A%2F%2Fauth.example.com', {
      options: {
        issuer: undefined as never,
        scope: 'read',
        endpoints: { authorization: 'https://auth.example.com/a', token: 'https://auth.example.com/t' },
      },
    })
    expect(answers.map(({ status }) => status)).toEqual([400, 400])
  })
})

it.each<[string, (issuer: string) => string]>([
  ['iss', (issuer) => `iss=${issuer}&iss=${issuer}`],
  ['login_hint', (issuer) => `iss=${issuer}&login_hint=a&login_hint=b`],
  ['target_link_uri', (issuer) => `iss=${issuer}&target_link_uri=/a&target_link_uri=/b`],
])('%s twice is refused', async (_name, fields) => {
  const { answers } = await asked(fields)
  expect(answers.map(({ status }) => status)).toEqual([400, 400])
  for (const { setCookies } of answers) expect(setCookies).toEqual([])
})

describe('the page that is wanted', () => {
  const targets: [target: string, end: string][] = [
    ['/private', '/private'],
    ['URL/private?a=1%26b=2', '/private?a=1&b=2'],
    ['URL', '/open'],
    ['URL/login', '/open'],
    ['URL//evil.example', '/open'],
    ['URL%2F%5Cevil.example', '/open'],
    ['URL.evil.example/private', '/open'],
    ['URL%40evil.example/private', '/open'],
    ['https://evil.example/private', '/open'],
    ['//evil.example', '/open'],
    ['javascript:alert(1)', '/open'],
    ['', '/open'],
  ]
  it.each(targets)('%s leads to %s', async (target, end) => {
    const { app, byGet } = await asked(
      (issuer, url) => `iss=${issuer}&target_link_uri=${target.replace('URL', url)}`,
      {
        options: { returnTo: '/open', scope: 'openid' },
      },
    )
    const browser = openBrowser()
    await browser.visit(`${app.url}/open`)
    for (const header of byGet.setCookies) await browser.jar.setCookie(header, app.url)
    const expected = target === 'URL' ? '/' : end
    expect((await browser.visit(location(byGet))).url).toBe(app.url + expected)
  })

  it('comes before returnTo, and only when it was asked for by the server', async () => {
    const { app, server } = await startStage()
    const end = async (query: string) => (await openBrowser().visit(`${app.url}/login?${query}`)).url
    const iss = encodeURIComponent(server.issuer)
    expect(await end(`iss=${iss}&returnTo=/open&target_link_uri=/private`)).toBe(`${app.url}/private`)
    expect(await end(`returnTo=/open&target_link_uri=/private`)).toBe(`${app.url}/open`)
  })
})

describe('the hint', () => {
  it('goes to the server, which nobody else can give one', async () => {
    const { byGet, byPost } = await asked((issuer) => `iss=${issuer}&login_hint=alice%40example.com`)
    expect(sentParameter(byGet, 'login_hint')).toBe('alice@example.com')
    expect(sentParameter(byPost, 'login_hint')).toBe('alice@example.com')
    const { byGet: plain } = await asked(() => 'login_hint=alice')
    expect(sentParameter(plain, 'login_hint')).toBeNull()
  })

  it('may be empty, and may not be long', async () => {
    const { byGet: empty } = await asked((issuer) => `iss=${issuer}&login_hint=`)
    expect(sentParameter(empty, 'login_hint')).toBeNull()
    const { byGet: longest } = await asked((issuer) => `iss=${issuer}&login_hint=${'a'.repeat(1_024)}`)
    expect(longest.status).toBe(302)
    const { answers } = await asked((issuer) => `iss=${issuer}&login_hint=${'a'.repeat(1_025)}`)
    expect(answers.map(({ status }) => status)).toEqual([400, 400])
  })
})

it('other parameters are nobody else’s to set', async () => {
  const { byGet } = await asked(
    (issuer) => `iss=${issuer}&scope=admin&prompt=none&redirect_uri=https://evil.example&client_id=x`,
  )
  expect(sentParameter(byGet, 'scope')).toBe('openid')
  expect(sentParameter(byGet, 'prompt')).toBeNull()
  expect(sentParameter(byGet, 'redirect_uri')).toMatch(/^http:\/\/localhost:\d+\/callback$/)
  expect(sentParameter(byGet, 'client_id')).toBe('client-1')
})

describe('by POST', () => {
  it.each([
    ['without iss', 'target_link_uri=/private'],
    ['with iss in the query alone', ''],
  ])('%s is no way to ask', async (what, body) => {
    const { app, server } = await startStage()
    const query = what.includes('query') ? `?iss=${encodeURIComponent(server.issuer)}` : ''
    const headers = { ...typed, 'content-type': 'application/x-www-form-urlencoded' }
    const page = await bare(`${app.url}/login${query}`, headers, { method: 'POST', body })
    expect([page.status, page.headers['allow'], setsSession(page)]).toEqual([405, 'GET', false])
  })

  it('may have been parsed by the app', async () => {
    const { byPost } = await asked((issuer) => `iss=${issuer}`, {
      before: [express.urlencoded({ extended: true }) as Handler],
    })
    expect([byPost.status, new URL(location(byPost)).pathname]).toEqual([303, '/authorize'])
  })

  it('from a script begins nothing', async () => {
    const { app, server } = await startStage()
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-mode': 'cors' }
    const body = `iss=${encodeURIComponent(server.issuer)}`
    const page = await bare(`${app.url}/login`, headers, { method: 'POST', body })
    expect([page.status, page.setCookies]).toEqual([401, []])
  })
})
