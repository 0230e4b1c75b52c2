/** A sensitive page at an authorization server that is real: it decides whom it asks again. */
import { createServer } from 'node:http'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createAuthorizationServer } from '../../example-app/src/authorization-server.js'
import { getAuth, requireClaim, requireStepUp } from '../../lib/index.js'
import { startApp, storages, type Storage } from '../support/app.js'
import { openBrowser, type Browser } from '../support/browser.js'
import { listening, stopped } from '../support/listening.js'
import { travel } from '../support/time.js'

async function world(storage: Storage) {
  const server = createServer()
  const issuer = await listening(server, 'localhost')
  onTestFinished(() => stopped(server))
  const app = await startApp({
    storage,
    options: { issuer, clientId: 'app', scope: 'openid profile' },
    routes: ({ get }) => {
      get('/recent', requireStepUp({ maxAge: 60 }), (req, res) => res.end(getAuth(req).subject))
      get('/gold', requireStepUp({ acr: 'gold' }), (_req, res) => res.end())
      get('/admins', requireClaim('roles', 'admin'), (_req, res) => res.end('for admins'))
    },
  })
  onTestFinished(() => app.close())
  const client = {
    client_id: 'app',
    redirect_uris: [app.callbackUrl],
    token_endpoint_auth_method: 'none',
  } as const
  server.on(
    'request',
    createAuthorizationServer({ issuer, apiUrl: 'https://api.example.com', clients: [client] }),
  )
  const signIn = async (url: string, user: string, browser: Browser = openBrowser()) => {
    await browser.visit(url)
    await browser.submit({ username: user, password: user })
    await browser.submit()
    return browser
  }
  return { ...app, issuer, signIn }
}

describe.each(storages)('storage "%s"', (storage) => {
  test('asks for the password when it was given too long ago, and not before', async () => {
    const { url, issuer, signIn } = await world(storage)
    const browser = await signIn(`${url}/private`, 'alice')
    // The server has just asked, and says when that was.
    expect(await browser.visit(`${url}/recent`)).toMatchObject({ url: `${url}/recent`, body: 'alice' })

    travel(200)
    expect((await browser.visit(`${url}/private`)).status).toBe(200)
    await browser.visit(`${url}/recent?x=1`)
    expect(browser.page.url).toMatch(`${issuer}/interaction/`)
    expect(browser.page.body).toContain('type="password"')
    const page = await browser.submit({ username: 'alice', password: 'alice' })
    expect(page).toMatchObject({ url: `${url}/recent?x=1`, status: 200, body: 'alice' })
  })

  test('a kind of sign-in that the server does not know ends on a page that says so', async () => {
    const { url, signIn } = await world(storage)
    const browser = await signIn(`${url}/private`, 'alice')
    const page = await browser.visit(`${url}/gold`)
    expect([page.status, new URL(page.url).pathname]).toEqual([400, '/callback'])
    expect(page.body).toContain('A stronger or more recent sign-in is needed.')
    expect((await browser.visit(`${url}/private`)).status).toBe(200)
  })
})

test('a role is what the server says', async () => {
  const { url, signIn } = await world('cookie')
  expect((await signIn(`${url}/admins`, 'alice')).page).toMatchObject({ status: 200, body: 'for admins' })
  expect((await signIn(`${url}/admins`, 'bob')).page.status).toBe(403)
})
