/** The ready page of connections: what it says, and what its forms do. */
import { describe, expect, test } from 'vitest'
import { memoryConnectionStore, oauthConnections } from '../../lib/index.js'
import type { ConnectionRecord } from '../../lib/connections/connection-record.js'
import type { ConnectionStore } from '../../lib/connections/connection-store.js'
import type { Browser, Page } from '../support/browser.js'
import { canary } from '../support/canaries.js'
import { startConnecting, type Connecting, type ConnectingOptions } from '../support/connecting.js'
import { json } from '../support/faulty-server/answer.js'
import { bare, cookieHeader } from '../support/requests.js'

const fields = {
  region: { label: 'Region', choices: { eu: 'Europe', us: 'America' }, help: 'Where it is kept.' },
  code: { label: 'Code', pattern: /[A-Z]{3}/, help: 'Three capital letters.' },
  note: { label: 'Note', required: false },
} as const

interface Stage extends Connecting {
  readonly alice: Browser
  readonly store: ConnectionStore
  /** The page, visited. */
  visit(): Promise<Page>
  /** Sends a form of the page that is on the screen. */
  submit(target: string, fields?: Record<string, string>): Promise<Page>
}

async function start(options: ConnectingOptions = {}): Promise<Stage> {
  const store = memoryConnectionStore()
  const stage = await startConnecting({ page: true, store, ...options })
  const alice = await stage.signedIn('alice')
  return {
    ...stage,
    alice,
    store,
    visit: () => alice.visit(`${stage.app.url}/connections`),
    submit: (target, sent) => alice.submit(sent, `/connections/${target}`),
  }
}

/** What is read on a page: its text, with one space between. */
function textOf({ body }: Page): string {
  return body
    .replace(/<style>.*?<\/style>/gs, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .replace(/ (?=[.,:])/g, '')
}

function idIn({ body }: Page): string {
  return /\/connections\/([\w-]{22})\//.exec(body)?.[1] ?? 'none'
}

test('somebody connects, renames, tests, disconnects, connects again and removes an account by forms alone', async () => {
  const { visit, submit, app, store } = await start({ providers: { projects: { name: 'Projects' } } })
  const empty = await visit()
  expect(empty.status).toBe(200)
  expect(textOf(empty)).toContain('Nothing is connected yet. Connect an account')

  const connected = await submit('projects/connect')
  expect(connected.url).toBe(`${app.url}/connections`)
  expect(textOf(connected)).toContain('alice’s projects is connected.')
  expect(connected.body).toContain('role="status"')
  expect(textOf(await visit())).not.toContain('is connected.')
  const id = idIn(connected)

  const renamed = await submit(`${id}/rename`, { label: 'Mine' })
  expect(renamed.url).toBe(`${app.url}/connections`)
  expect(textOf(renamed)).toContain('The connection is called Mine now.')
  expect(textOf(await submit(`${id}/test`))).toContain('Mine works.')
  const ended = await submit(`${id}/disconnect`)
  expect(textOf(ended)).toContain('Mine is disconnected.')
  expect(ended.body).not.toContain(`${id}/test`)
  expect(textOf(await submit(`${id}/reconnect`))).toContain('Mine is connected again.')
  await submit(`${id}/disconnect`)
  const removed = await submit(`${id}/remove`)
  expect(textOf(removed)).toContain('The connection to Projects was removed.')
  expect(textOf(removed)).toContain('Nothing is connected yet.')
  expect(await store.list('alice')).toEqual([])
})

test('a field may have the name of a method', async () => {
  const named = { toString: { label: 'Text', required: false }, code: fields.code }
  const { visit, submit } = await start({ providers: { maps: { name: 'Maps', fields: named } } })
  await visit()
  const { status, body } = await submit('maps/connect', { code: 'x' })
  expect(status).toBe(200)
  expect(/<input id="field-maps-toString"[^>]*>/.exec(body)?.[0]).toContain('value=""')
})

test('what is wrong with a field is said at the field, and what was filled in stays', async () => {
  const { visit, submit } = await start({ providers: { maps: { name: 'Maps', fields } } })
  await visit()
  const { body } = await submit('maps/connect', { region: 'us', code: 'muc"', note: '<b>' })

  expect(body).toContain('<title>That did not work – Connections</title>')
  expect(body).toContain('role="alert"')
  expect(body).toContain('<a href="#field-maps-code">Code does not look right. Three capital letters.</a>')
  const code = /<input id="field-maps-code"[^>]*>/.exec(body)?.[0]
  expect(code).toContain('aria-describedby="field-maps-code-help field-maps-code-error" aria-invalid="true"')
  expect(code).toContain('value="muc&quot;"')
  expect(body).toMatch(/id="field-maps-code-error">Code does not look right/)
  expect(body).toContain('<option value="us" selected>America</option>')
  expect(body).toMatch(/name="note"[^>]*value="&lt;b&gt;"/)
  expect(body.match(/aria-invalid="true"/g)).toHaveLength(1)
  expect((await visit()).body).not.toContain('aria-invalid=')
})

test('too much to be kept is not kept, and what is wrong is said all the same', async () => {
  const { visit, submit } = await start({ providers: { maps: { name: 'Maps', fields } } })
  await visit()
  const { body } = await submit('maps/connect', { note: '€'.repeat(3_000) })
  expect(body).toContain('Note must be one line of at most 200 characters.')
  expect(body).not.toContain('€€')
})

test('a provider that says no is quoted, and the page goes on', async () => {
  const { visit, submit, providers } = await start({ providers: { projects: { name: 'Projects' } } })
  providers['projects']?.server.misbehave('error-access-denied')
  await visit()
  const page = await submit('projects/connect')
  expect(textOf(page)).toContain(
    'That did not work Projects: It was not allowed at Projects. Nothing was connected. You can try again. Projects said:',
  )
  expect(page.body).toMatch(/<blockquote>.*access_denied.*<\/blockquote>/s)
  expect(page.body).toContain('For those who run this site')
  providers['projects']?.server.misbehave()
})

test('a test that finds a connection at its end is bad news, with the way out', async () => {
  const { visit, submit, providers } = await start({ providers: { projects: { name: 'Projects' } } })
  await visit()
  const id = idIn(await submit('projects/connect'))
  providers['projects']?.misbehave({ answerUserinfo: () => json({ error: 'invalid_token' }, 401) })
  const page = await submit(`${id}/test`)
  expect(textOf(page)).toContain(
    'That did not work alice’s projects: Projects does not accept this app’s access any more. Connect it again.',
  )
  expect(page.body).toContain('role="alert"')
  expect(textOf(page)).toContain('Status: Not working')
  providers['projects']?.misbehave()
  expect(textOf(await submit(`${id}/reconnect`))).toContain('alice’s projects is connected again.')

  // A provider that is out of order says nothing about the connection.
  providers['projects']?.misbehave({ answerUserinfo: () => json({}, 500) })
  const down = await submit(`${id}/test`)
  expect(textOf(down)).toContain(
    'That did not work alice’s projects: Projects does not answer just now. Nothing has changed.',
  )
  expect(textOf(down)).toContain('Status: Connected')
})

describe('the answer', () => {
  test('may run nothing, load nothing, be framed by nobody, and send its forms to this site only', async () => {
    const { visit } = await start()
    const { headers, body } = await visit()
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none'; style-src 'sha256-[\w+/=]{44}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'$/,
    )
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    })
    expect(body).not.toMatch(/<script|\son\w+=|\sstyle=|https?:/i)
    expect(body).toMatch(/^<!doctype html><html lang="en">/)
  })

  test('a link of another site shows it; a frame, an image or a script of one gets nothing', async () => {
    const { alice, app, connect } = await start()
    await connect(alice)
    const cookie = await cookieHeader(alice, app.url)
    const crossSite = { cookie, accept: 'text/html', 'sec-fetch-site': 'cross-site' }
    const ask = async (mode: string, dest: string) =>
      bare(`${app.url}/connections`, { ...crossSite, 'sec-fetch-mode': mode, 'sec-fetch-dest': dest })
    expect((await ask('navigate', 'document')).status).toBe(200)
    for (const [mode, dest] of [
      ['navigate', 'iframe'],
      ['no-cors', 'image'],
      ['no-cors', 'script'],
      ['cors', 'empty'],
    ] as const) {
      const answer = await ask(mode, dest)
      expect([dest, answer.status]).toEqual([dest, 403])
      expect(answer.body).not.toContain('alice')
    }
  })

  test('is for whoever is signed in; others are sent to sign in and come back', async () => {
    const { app, signedIn } = await start()
    const nobody = await bare(`${app.url}/connections`, { accept: 'text/html', 'sec-fetch-mode': 'navigate' })
    expect([nobody.status, nobody.headers.location]).toEqual([302, '/login?returnTo=%2Fconnections'])
    const bob = await signedIn('bob')
    expect(textOf(await bob.visit(`${app.url}/connections`))).toContain('Nothing is connected yet.')
  })

  test('its forms work in a browser that does not say where they come from', async () => {
    const { visit, alice, app, store, connect } = await start()
    await connect(alice)
    const page = await visit()
    const token = /name="csrf_token" value="([^"]+)"/.exec(page.body)?.[1] ?? ''
    const send = async (sent: Record<string, string>) =>
      bare(
        `${app.url}/connections/${idIn(page)}/rename`,
        {
          cookie: await cookieHeader(alice, app.url),
          accept: 'text/html',
          origin: 'null',
          'content-type': 'application/x-www-form-urlencoded',
        },
        { method: 'POST', body: new URLSearchParams(sent).toString() },
      )
    expect((await send({ label: 'forged' })).status).toBe(403)
    const answer = await send({ label: 'Mine', csrf_token: token, return_to: '/connections' })
    expect([answer.status, answer.headers.location]).toEqual([303, '/connections'])
    expect(await store.list('alice')).toMatchObject([{ label: 'Mine' }])
  })

  test.each(['https://evil.example/', '//evil.example', '/\\evil.example', 'javascript:alert(1)', ''])(
    'T20 a form leads nowhere but to this site: %j',
    async (to) => {
      const { visit, submit, app } = await start()
      await visit()
      const id = idIn(await submit('projects/connect'))
      expect((await submit(`${id}/rename`, { label: 'x', return_to: to })).url).toBe(`${app.url}/connections`)
    },
  )

  test('has the title that the app gives it, as a text', async () => {
    const { visit } = await start({ page: { title: 'Linked <i>&amp;' } })
    expect((await visit()).body).toContain('<h1>Linked &lt;i&gt;&amp;amp;</h1>')
  })
})

test.each<[unknown, string]>([
  ['yes', 'option "page" is "yes"'],
  [{ titel: 'x' }, 'option "page.titel" is not known; did you mean "title"?'],
  [{ title: '' }, 'option "page.title"'],
  [null, 'option "page" is null'],
])('the option %j is refused', (page, message) => {
  const options = {
    baseUrl: 'https://app.example',
    secrets: [canary('cookie-secret')],
    store: memoryConnectionStore(),
    providers: {},
    page: page as boolean,
  }
  expect(() => oauthConnections(options)).toThrow(message)
})

/** What somebody who means harm could have put everywhere. */
const hostile = [
  '<script>document.title="run"</script>',
  '"><img src=x onerror=document.title="run">',
  "' autofocus onfocus=document.title='run' x='",
  '</title></style></textarea><svg onload=document.title="run">',
  '&lt;b&gt;&#60;b&#62;',
  '\u202Edrow desrever',
  'W'.repeat(90),
] as const

test.each(hostile)('T20 a text is a text wherever it stands: %s', async (text) => {
  const { visit, store } = await start({
    providers: {
      projects: {
        name: text,
        fields: { one: { label: text, help: text, choices: { [text]: text }, required: false } },
      },
    },
  })
  const record: ConnectionRecord = {
    id: 'a'.repeat(22),
    owner: 'alice',
    provider: 'projects',
    issuer: 'https://x.example',
    accountId: text,
    status: 'needs_reconnect',
    reason: 'refresh_refused',
    label: text,
    isRenamed: true,
    fields: { one: text, [text]: text },
    clientId: text,
    tokenOrigin: '',
    scope: [text],
    isExclusive: true,
    createdAt: 1,
    connectedAt: 1,
    checkedAt: 1,
    version: 1,
  }
  await store.insert(record)
  const { body } = await visit()
  const plain = body.replace(/<style>.*?<\/style>/s, '')
  expect(plain).not.toMatch(/<(script|img|svg|b|textarea)\b/i)
  expect(plain).not.toContain('"run"')
  expect(plain).not.toContain("autofocus onfocus=document.title='run'")
  const escaped = text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/'/g, '&#39;')
  expect(plain.split(escaped).length).toBeGreaterThan(15)
})
