/** Threats to the HTTP routes of connections: odd paths, methods and bodies, other sites, and clients that leave. */
import { request } from 'node:http'
import { describe, expect, test } from 'vitest'
import { frameworks } from '../../support/app.js'
import { startConnected } from '../../support/connected.js'
import { bare, cookieHeader, ownForm, ownScript } from '../../support/requests.js'

const actions = ['rename', 'test', 'reconnect', 'disconnect', 'remove'] as const

describe.each(frameworks)('T104 with %s', (framework) => {
  test('no spelling of a path reaches the connection of another user, or does without the proof', async () => {
    const stage = await startConnected({ app: { framework } })
    const cookie = await cookieHeader(await stage.signedIn('bob'), stage.app.url)
    const { id } = stage.connection
    const before = await stage.row()
    const spellings = [
      `/connections/${id}`,
      `//connections/${id}`,
      `/connections//${id}`,
      `/CONNECTIONS/${id}`,
      `/connections/${id}/`,
      `/connections/./${id}`,
      `/connections/x/../${id}`,
      `/connections%2f${id}`,
      `/connections/%2e/${id}`,
      `/connections/${id}%00`,
      `/connections/${id};a=b`,
      `/connections/${id}.`,
      `/connections/${id}?owner=alice`,
    ]
    for (const path of spellings) {
      const [bare_ = '', query] = path.split('?')
      const url = (action: string) => `${stage.app.url}${bare_}${action}${query ? `?${query}` : ''}`
      const answers = [
        await bare(url(''), { ...ownScript, cookie }),
        await bare(url('/disconnect'), { ...ownScript, cookie }, { method: 'POST' }),
        await bare(url('/disconnect'), { cookie }, { method: 'POST' }),
      ]
      for (const { status, body } of answers) {
        expect({ path, isRefused: status >= 400 }).toEqual({ path, isRefused: true })
        expect(body).not.toContain('alice')
      }
    }
    expect(await stage.row()).toEqual(before)
  })
})

test('T105 preflights and other methods are nobody’s, and reading needs the proof as well', async () => {
  const stage = await startConnected()
  const cookie = await cookieHeader(stage.browser, stage.app.url)
  const before = await stage.row()
  const { id } = stage.connection
  for (const action of actions) {
    for (const method of ['OPTIONS', 'HEAD', 'GET', 'PUT', 'DELETE']) {
      const { status, body } = await bare(
        `${stage.app.url}/connections/${id}/${action}`,
        { ...ownScript, cookie },
        { method },
      )
      expect(status).toBe(405)
      expect(body).not.toContain('alice')
    }
  }
  for (const path of ['', '/providers', `/${id}`]) {
    const { status } = await bare(`${stage.app.url}/connections${path}`, { cookie })
    expect(status).toBe(403)
  }
  expect(await stage.row()).toEqual(before)
})

test('T106 a body or a label without end is refused or cut', async () => {
  const stage = await startConnected()
  const cookie = await cookieHeader(stage.browser, stage.app.url)
  const url = `${stage.app.url}/connections/${stage.connection.id}/rename`
  const huge = JSON.stringify({ label: 'x'.repeat(2_000_000) })
  const sent = async (body: string) =>
    bare(url, { ...ownScript, cookie, 'content-type': 'application/json' }, { method: 'POST', body }).catch(
      () => undefined,
    )

  const refused = await sent(huge)
  expect([413, undefined]).toContain(refused?.status)
  expect((await stage.row()).label).toBe('alice’s projects')
  expect((await sent(JSON.stringify({ label: 'y'.repeat(5_000) })))?.status).toBe(200)
  expect((await stage.row()).label).toBe('y'.repeat(100))
})

test('T107 a client that leaves half-way leaves no half connection, and no error', async () => {
  const stage = await startConnected()
  const cookie = await cookieHeader(stage.browser, stage.app.url)
  const leave = async (path: string) =>
    new Promise<void>((resolve) => {
      const sent = request(`${stage.app.url}${path}`, {
        method: 'POST',
        headers: { ...ownScript, cookie, 'content-type': 'application/json', 'content-length': '100' },
      })
      sent.on('error', () => resolve()).write('{')
      setTimeout(() => sent.destroy(), 5)
    })
  const { id } = stage.connection
  await Promise.all(
    ['projects/connect', `${id}/test`, `${id}/disconnect`].map((path) => leave(`/connections/${path}`)),
  )

  expect(await stage.row()).toMatchObject({ status: 'active' })
  expect(stage.app.errors).toEqual([])
  expect((await stage.connection.fetch(stage.me)).status).toBe(200)
})

test.each(['projects/connect', ...actions])('T108 POST %s needs a page of this site', async (path) => {
  const stage = await startConnected()
  const cookie = await cookieHeader(stage.browser, stage.app.url)
  const before = await stage.row()
  const url = `${stage.app.url}/connections/${path.includes('/') ? path : `${stage.connection.id}/${path}`}`
  for (const headers of [
    {},
    { 'x-csrf': '1' },
    { ...ownScript, 'sec-fetch-site': 'cross-site' },
    { ...ownScript, 'sec-fetch-site': 'same-site' },
    { ...ownForm, 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' },
    { origin: 'https://evil.example', 'x-csrf': '1' },
  ]) {
    const { status } = await bare(url, { ...headers, cookie }, { method: 'POST' })
    expect({ headers, status }).toEqual({ headers, status: 403 })
  }
  expect(await stage.row()).toEqual(before)
})
