/** What a user, and the app's page, are told of connecting: in whose words, to whom, and how often. */
import { describe, expect, test } from 'vitest'
import { startConnecting, type Connecting } from '../support/connecting.js'
import { authorizationError } from '../support/faulty-server/authorization.js'
import { json } from '../support/faulty-server/answer.js'
import { bare, cookieHeader, cookiesOf, ownForm } from '../support/requests.js'

const hostile = `<script>alert(1)</script>\u0000\u001b[31m\r\nset-cookie: a=b ${'x'.repeat(10_000)}`

const refuse = (stage: Connecting, error: string, description: string) =>
  stage.providers['projects']?.misbehave({
    authorizationResponse: (op, authorization) => authorizationError(op, authorization, error, description),
  })

/** An app whose own page shows the outcome, as JSON. */
async function withPage(): Promise<Connecting> {
  const stage: Connecting = await startConnecting({
    returnTo: '/done',
    app: {
      routes: (router) =>
        router.get('/done', (request, response) => {
          response.setHeader('content-type', 'application/json')
          response.end(JSON.stringify(stage.connections.outcome(request, response) ?? null))
        }),
    },
  })
  return stage
}

describe('what the provider says of an error', () => {
  test('reaches the page as plain text of bounded length, with a hint, and no address', async () => {
    const stage = await withPage()
    const alice = await stage.signedIn('alice')
    refuse(stage, 'access_denied', hostile)
    const page = await stage.connect(alice)
    expect(page.url).toBe(`${stage.app.url}/done`)
    const outcome = JSON.parse(page.body) as Record<string, string>
    expect(outcome).toMatchObject({
      status: 'failed',
      provider: 'projects',
      error: 'access_denied',
      message: 'It was not allowed at projects. Nothing was connected. You can try again.',
      provider_error: 'access_denied',
      hint: expect.stringContaining('said no') as unknown,
    })
    expect(outcome['provider_error_description']).toMatch(
      /^<script>alert\(1\)<\/script>\?\?\[31m[\x20-\x7e]{200,}$/,
    )
    expect(outcome['provider_error_description']).toHaveLength(300)
    const ours = alice.responses.filter(({ url }) => url.startsWith(stage.app.url))
    const locations = ours.map(({ headers }) => headers.location ?? '')
    expect(locations.filter((location) => /denied|script/.test(location))).toEqual([])
  })

  test('reaches it from the token endpoint, too, and without our secrets', async () => {
    const stage = await withPage()
    const alice = await stage.signedIn('alice')
    const { server } = stage.providers['projects'] ?? {}
    stage.providers['projects']?.misbehave({
      answerToken: () =>
        json({ error: 'invalid_grant', error_description: `no, ${server?.clientSecret}: ${hostile}` }, 400),
    })
    const { body } = await stage.connect(alice)
    expect(JSON.parse(body)).toMatchObject({ error: 'invalid_grant', provider_error: 'invalid_grant' })
    expect(body).toContain('no, [redacted]: <script>')
    expect(stage.events.at(-1)).toMatchObject({ type: 'connect_failed', code: 'invalid_grant' })
  })

  test('keeps its name where no specification has it', async () => {
    const stage = await withPage()
    const alice = await stage.signedIn('alice')
    refuse(stage, `<b>${'y'.repeat(10_000)}`, '')
    const outcome = JSON.parse((await stage.connect(alice)).body) as Record<string, string>
    expect(outcome).toMatchObject({ error: 'server_refused', provider_error: `<b>${'y'.repeat(297)}` })
  })
})

describe('what the API of the test call says of an error', () => {
  const withRegion = { projects: { fields: { region: { label: 'Region', choices: ['eu', 'us'] } } } }

  test.each<[string, number, object, string, string | undefined]>([
    ['by the names of RFC 6749', 403, { error: 'no', error_description: 'Not you.' }, 'no', 'Not you.'],
    ['in an object', 404, { error: { code: 5, status: 'GONE', message: 'Moved.' } }, 'GONE', 'Moved.'],
    ['in a message', 403, { message: 'Änderung nötig' }, 'status 403', 'Änderung nötig'],
    ['of an outage', 503, { error: 'maintenance' }, 'maintenance', undefined],
    ['of a token that it refuses', 401, { error: 'invalid_token' }, 'invalid_token', undefined],
  ])('%s reaches the page', async (_what, status, said, error, description) => {
    const stage = await startConnecting({ providers: withRegion })
    const alice = await stage.signedIn('alice')
    stage.providers['projects']?.misbehave({ answerUserinfo: () => json(said, status) })
    await stage.connect(alice, 'projects', { region: 'us' })
    const { outcome } = await stage.list(alice)
    expect(outcome).toMatchObject({ status: 'failed', provider_error: error, values: { region: 'us' } })
    expect(outcome?.['provider_error_description']).toBe(description)
    const words =
      'did not say whose account this is. Nothing was connected. Is this right: Region? Please try again.'
    expect(outcome?.['message']).toMatch(
      status === 403 || status === 404 ? words : /does not (answer|accept)/,
    )
  })

  test('is plain text of bounded length, without the token and our secret', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    const { server } = stage.providers['projects'] ?? {}
    let token = 'none'
    stage.providers['projects']?.misbehave({
      answerUserinfo(op) {
        const { headers } = op.requests.findLast(({ endpoint }) => endpoint === 'userinfo') ?? {}
        token = String(headers?.authorization).replace(/^Bearer /, '')
        return json({ message: `no: ${token} ${server?.clientSecret} \u202e${hostile}` }, 403)
      },
    })
    await stage.connect(alice)
    const { outcome } = await stage.list(alice)
    expect(token.length).toBeGreaterThan(10)
    expect(outcome?.['provider_error_description']).toMatch(
      /^no: \[redacted\] \[redacted\] <script>alert\(1\)<\/script> \[31m set-cookie: a=b x+$/,
    )
    expect(outcome?.['provider_error_description']).toHaveLength(300)
    expect(JSON.stringify([outcome, stage.events])).not.toContain(token)
  })
})

describe('an outcome', () => {
  test('of a form about a connection says what was tried with which, and of a failure, for whom it is', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    await stage.connect(alice)
    const { connections } = await stage.list(alice)
    const id = String(connections[0]?.['id'])
    const send = async (action: string, body = '') => {
      const cookie = await cookieHeader(alice, stage.app.url)
      const headers = { ...ownForm, cookie }
      const sent = { method: 'POST', body }
      const { setCookies } = await bare(`${stage.app.url}/connections/${id}/${action}`, headers, sent)
      for (const header of setCookies) await alice.jar.setCookie(header, stage.app.url)
      return (await stage.list(alice)).outcome
    }
    const about = { provider: 'projects', connection: id }
    expect(await send('test')).toEqual({ action: 'test', status: 'tested', ...about })
    expect(await send('rename')).toMatchObject({
      action: 'rename',
      status: 'failed',
      ...about,
      error: 'invalid_fields',
      message: 'This name is not possible. Nothing has changed.',
    })
    stage.providers['projects']?.misbehave({ answerUserinfo: () => json({}, 404) })
    expect(await send('test')).toMatchObject({
      action: 'test',
      status: 'failed',
      ...about,
      error: 'account_unknown',
      message: 'projects did not say whose account this is. Nothing has changed. Please try again.',
      hint: expect.stringContaining('"test.url"') as unknown,
    })
    expect(await send('rename', 'label=Mine')).toEqual({ action: 'rename', status: 'renamed', ...about })
    expect(await send('disconnect')).toEqual({ action: 'disconnect', status: 'disconnected', ...about })
    expect(await send('remove')).toEqual({ action: 'remove', status: 'removed', ...about })
  })

  test('of a connecting that failed brings back what was filled in', async () => {
    const fields = { note_0: { label: 'One' }, note_1: { label: 'Two' } }
    const stage = await startConnecting({ providers: { projects: { fields } } })
    const alice = await stage.signedIn('alice')
    refuse(stage, 'access_denied', 'no')
    await stage.connect(alice, 'projects', { note_0: 'mine', note_1: 'yours' })
    const values = { note_0: 'mine', note_1: 'yours' }
    expect((await stage.list(alice)).outcome).toMatchObject({ error: 'access_denied', values })
  })

  test('is shown once', async () => {
    const stage = await withPage()
    const alice = await stage.signedIn('alice')
    const first = await stage.connect(alice)
    const [connection] = await stage.connections.for('alice').list()
    expect(JSON.parse(first.body)).toEqual({
      action: 'connect',
      status: 'connected',
      provider: 'projects',
      connection: connection?.id,
    })
    expect(first.headers['cache-control']).toContain('no-store')
    expect((await alice.visit(`${stage.app.url}/done`)).body).toBe('null')
    expect((await stage.list(alice)).outcome).toBeNull()
  })

  test('is for the session that it is about, and for no other one of the browser', async () => {
    const stage = await startConnecting()
    const browser = await stage.signedIn('alice')
    await stage.connect(browser)
    await stage.signIn(browser, 'bob')
    expect((await stage.list(browser)).outcome).toBeNull()
    await stage.signIn(browser, 'alice')
    expect((await stage.list(browser)).outcome).toBeNull()
  })

  test('nor for another browser that gets hold of it', async () => {
    const stage = await startConnecting()
    const [alice, bob] = [await stage.signedIn('alice'), await stage.signedIn('bob')]
    await stage.connect(alice)
    const [outcome] = await cookiesOf(alice, stage.app.url, /connect-outcome/)
    await bob.jar.setCookie(`${outcome?.name}=${outcome?.value}`, stage.app.url)
    expect((await stage.list(bob)).outcome).toBeNull()
    expect((await stage.list(alice)).outcome).toMatchObject({ status: 'connected' })
  })

  test('is nothing for who is signed out', async () => {
    const stage = await withPage()
    const alice = await stage.signedIn('alice')
    expect((await bare(`${stage.app.url}/done`)).body).toBe('null')
    await stage.signOut(alice)
    expect((await alice.visit(`${stage.app.url}/done`)).body).toBe('null')
  })

  test('tells what is wrong with each field; a script is told at once', async () => {
    const field = { label: 'Region', choices: ['eu', 'us'] }
    const stage = await startConnecting({ providers: { projects: { fields: { region: field } } } })
    const alice = await stage.signedIn('alice')
    const script = await stage.post(alice, '/connections/projects/connect', { region: 'moon' })
    const wrong = { region: 'Region must be one of eu, us.' }
    expect([script.status, JSON.parse(script.body)]).toMatchObject([
      400,
      { error: 'invalid_fields', fields: wrong },
    ])
    expect((await stage.list(alice)).outcome).toBeNull()

    const cookie = await cookieHeader(alice, stage.app.url)
    const form = await bare(
      `${stage.app.url}/connections/projects/connect`,
      { ...ownForm, cookie },
      { method: 'POST', body: 'region=moon&return_to=/open' },
    )
    expect([form.status, form.headers.location]).toEqual([303, '/open'])
    for (const header of form.setCookies) await alice.jar.setCookie(header, stage.app.url)
    expect((await stage.list(alice)).outcome).toMatchObject({ error: 'invalid_fields', fields: wrong })
    expect(stage.events.filter(({ type }) => type === 'connect_failed')).toHaveLength(2)
  })

  test('fits into a cookie, whatever is wrong', async () => {
    const choices = Array.from({ length: 100 }, (_, index) => `a region with a long name ${index}`)
    const names = Array.from({ length: 4 }, (_, index) => `region_${index}`)
    const fields = Object.fromEntries(names.map((name) => [name, { label: name, choices }]))
    const stage = await startConnecting({ providers: { projects: { fields } } })
    const alice = await stage.signedIn('alice')
    const cookie = await cookieHeader(alice, stage.app.url)
    const form = await bare(
      `${stage.app.url}/connections/projects/connect`,
      { ...ownForm, cookie },
      { method: 'POST', body: names.map((name) => `${name}=moon`).join('&') },
    )
    expect(
      form.setCookies
        .map((header) => header.split(';', 1)[0]?.length)
        .every((length) => Number(length) <= 4_096),
    ).toBe(true)
    for (const header of form.setCookies) await alice.jar.setCookie(header, stage.app.url)
    expect((await stage.list(alice)).outcome).toMatchObject({ status: 'failed', error: 'invalid_fields' })
  })
})
