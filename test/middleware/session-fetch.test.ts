/** `getAuth(req).fetch`: an API is called with the user's token, which is replaced when the API refuses it. */
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { getAuth, isOAuthError, memoryStore, type OAuthError, type Store } from '../../lib/index.js'
import { startApi, type Api } from '../support/api.js'
import { storages } from '../support/app.js'
import { caller, startCalling } from '../support/calling.js'
import { json, type TransportFault } from '../support/faulty-server/answer.js'
import type { Steps } from '../support/faulty-server/provider.js'
import { grants, tokenResponse } from '../support/faulty-server/token.js'
import { kinds, startInstances } from '../support/instances.js'
import { startApi as startGuardedApi } from '../threats/guard/api.js'
import { startIssuer } from '../threats/guard/issuer.js'
import { travel } from '../support/time.js'

/** Seconds. */
const life = 3_600

/** Grants that leave refresh tokens as they are. */
const unspent: Steps['grants'] = Object.fromEntries(
  Object.entries(grants).map(([type, grant]) => [type, { ...grant, complaints: () => [] }]),
)

async function errorOf(promise: Promise<unknown>): Promise<OAuthError> {
  const error = await promise.catch((thrown: unknown) => thrown)
  if (isOAuthError(error)) return error
  throw new Error('it did not fail')
}

/** The API refuses these tokens. */
function refuses(api: Api, isRefused: (token: string) => boolean): void {
  api.answer = (_request, token) => (isRefused(token) ? json({ why: 'because' }, 401) : json({ ok: true }))
}

const ownToken = (auth: ReturnType<typeof getAuth>) => auth.accessToken()

describe.each(storages)('with storage "%s"', (storage) => {
  test('sends the user’s token, and hands back what the API answers', async () => {
    const { api, user, server } = await startCalling({ storage })
    const one = await user()
    const response = await one.fetch(`${api.url}/v1/projects?page=2`, {
      method: 'post',
      headers: { 'x-own': 'header' },
      body: 'a body',
    })
    expect([response.status, await response.json()]).toEqual([200, { ok: true }])
    const token = await one.call(ownToken)
    expect(api.requests).toMatchObject([
      {
        method: 'POST',
        path: '/v1/projects?page=2',
        body: 'a body',
        headers: { authorization: `Bearer ${token}`, 'x-own': 'header' },
      },
    ])
    expect(server.counts.token).toBe(1)
  })

  test('refreshes a token that is over first', async () => {
    const { api, user, server } = await startCalling({ storage })
    const one = await user()
    travel(life + 1)
    expect((await one.fetch(`${api.url}/v1/`)).status).toBe(200)
    expect([api.requests.length, server.counts.token, server.complaints]).toEqual([1, 2, []])
    expect(api.tokens).toEqual([await one.call(ownToken)])
  })

  test.each<[string, () => RequestInit]>([
    ['without a body', () => ({})],
    ['with a text', () => ({ method: 'POST', body: 'text' })],
    ['with bytes', () => ({ method: 'POST', body: Buffer.from('text') })],
    ['with a blob', () => ({ method: 'POST', body: new Blob(['text']) })],
    ['with a form', () => ({ method: 'POST', body: new URLSearchParams({ a: 'text' }) })],
  ])('repeats a request %s once, with another token', async (_what, init) => {
    const { api, user, server } = await startCalling({ storage })
    const one = await user()
    const revoked = await one.call(ownToken)
    refuses(api, (token) => token === revoked)
    expect((await one.fetch(`${api.url}/v1/`, init())).status).toBe(200)
    expect([api.requests.length, server.counts.token]).toEqual([2, 2])
    expect(api.requests[1]?.body).toBe(api.requests[0]?.body)
    expect((await one.fetch(`${api.url}/v1/`, init())).status).toBe(200)
    expect([api.requests.length, server.counts.token, server.complaints]).toEqual([3, 2, []])
  })

  test('repeats a form with files', async () => {
    const { api, user } = await startCalling({ storage })
    const one = await user()
    const revoked = await one.call(ownToken)
    refuses(api, (token) => token === revoked)
    const body = new FormData()
    body.set('file', new Blob(['the content']), 'a.txt')
    expect((await one.fetch(`${api.url}/v1/`, { method: 'POST', body })).status).toBe(200)
    expect(api.requests.map((request) => request.body.includes('the content'))).toEqual([true, true])
  })

  test('does not repeat a stream, but has another token for the next request when it hands the refusal back', async () => {
    const { api, user, server } = await startCalling({ storage })
    const one = await user()
    const revoked = await one.call(ownToken)
    refuses(api, (token) => token === revoked)
    const init = () => ({ method: 'POST', body: new Blob(['text']).stream(), duplex: 'half' as const })
    const response = await one.fetch(`${api.url}/v1/`, init())
    expect([response.status, await response.json()]).toEqual([401, { why: 'because' }])
    // What became of the old token is forgotten by then: the browser itself has to have the new one.
    travel(31)
    expect((await one.fetch(`${api.url}/v1/`, init())).status).toBe(200)
    expect([api.requests.length, server.counts.token, server.complaints]).toEqual([2, 2, []])
  })

  test('hands the refusal back where there is no other token to be had', async () => {
    const { api, user, server } = await startCalling({
      storage,
      server: {
        fault: {
          async tokenResponse(op, authorization) {
            const { refresh_token: _, ...others } = await tokenResponse(op, authorization)
            return others
          },
        },
      },
    })
    const one = await user()
    refuses(api, () => true)
    const response = await one.fetch(`${api.url}/v1/`)
    expect([response.status, await response.json()]).toEqual([401, { why: 'because' }])
    expect([api.requests.length, server.counts.token]).toEqual([1, 1])
    travel(life + 1)
    expect((await errorOf(one.fetch(`${api.url}/v1/`))).code).toBe('login_required')
  })

  test('a server that gives the same token again has it sent once', async () => {
    const fault: Partial<Steps> = {
      tokenResponse: async (op, authorization) => ({
        ...(await tokenResponse(op, authorization)),
        access_token: 'the-only-one',
      }),
    }
    const { api, user, server } = await startCalling({ storage, server: { fault } })
    const one = await user()
    refuses(api, () => true)
    for (let call = 0; call < 3; call++) expect((await one.fetch(`${api.url}/v1/`)).status).toBe(401)
    expect([api.requests.length, server.counts.token]).toEqual([3, 2])
  })

  test('a server that is away is told as that, and not as the API’s refusal', async () => {
    const { api, user, server } = await startCalling({ storage })
    const one = await user()
    travel(0)
    refuses(api, (token) => token === api.tokens[0])
    // It spends no refresh token while it is away.
    server.misbehave({ grants: unspent, answerToken: () => json({}, 503) })
    const error = await errorOf(one.fetch(`${api.url}/v1/`))
    expect([error.code, error.status]).toEqual(['server_unavailable', 503])
    server.misbehave()
    travel(6)
    expect((await one.fetch(`${api.url}/v1/`)).status).toBe(200)
  })

  test('a store that is away is told as that', async () => {
    const memory = memoryStore()
    let isAway = false
    const store: Store = {
      ...memory,
      get: async (keys) => (isAway ? Promise.reject(new Error('away')) : memory.get(keys)),
    }
    const { api, user } = await startCalling({ storage, options: () => ({ store }) })
    const one = await user()
    api.answer = () => {
      isAway = true
      return json({}, 401)
    }
    const error = await errorOf(one.fetch(`${api.url}/v1/`))
    expect([error.code, error.status]).toEqual(['store_unavailable', 503])
  })

  test('a session that has ended meanwhile is told as that', async () => {
    const { api, app, user, server } = await startCalling({ storage })
    const one = await user()
    const subject = await one.call(async (auth) => auth.subject ?? '')
    const ends: TransportFault = (response) =>
      void app.login.endSessions(subject).then(() => response.writeHead(401).end())
    api.answer = () => ends
    const error = await errorOf(one.fetch(`${api.url}/v1/`))
    expect([error.code, error.reason]).toEqual(['login_required', 'session_ended'])
    expect([api.requests.length, server.counts.token]).toEqual([1, 1])
  })

  test('so is one whose refresh token the server refuses', async () => {
    const { api, user, server } = await startCalling({ storage })
    const one = await user()
    refuses(api, () => true)
    server.misbehave({ answerToken: () => json({ error: 'invalid_grant' }, 400) })
    const error = await errorOf(one.fetch(`${api.url}/v1/`))
    expect([error.code, error.reason]).toEqual(['login_required', 'refresh_refused'])
  })

  test('and nothing is left of an answer that is never handed back', async () => {
    const { api, user, server } = await startCalling({ storage })
    const one = await user()
    let isOver = false
    api.answer = () => (response: ServerResponse) => {
      response.once('close', () => (isOver = true))
      response.writeHead(401).write('x'.repeat(1_000_000))
    }
    server.misbehave({ answerToken: () => json({ error: 'invalid_grant' }, 400) })
    expect((await errorOf(one.fetch(`${api.url}/v1/x`))).code).toBe('login_required')
    await expect.poll(() => isOver).toBe(true)
  })

  test('asks for what an API is listed with', async () => {
    const { api, user, server } = await startCalling({
      storage,
      options: ({ url }) => ({
        scope: 'openid read:projects write:projects',
        apis: [
          `${url}/v1/`,
          { url: `${url}/v1/admin/`, scope: 'read:projects' },
          { url: `${url}/v2`, resource: 'https://v2.example' },
        ],
      }),
    })
    const one = await user()
    for (const path of ['/v1/x', '/v1/admin/x', '/v2', '/v2/y', '/v1/admin/y'])
      await one.fetch(api.url + path)
    const refreshes = server.requests.filter(({ body }) => body.get('grant_type') === 'refresh_token')
    expect(refreshes.map(({ body }) => [body.get('scope'), body.get('resource')])).toEqual([
      ['read:projects', null],
      [null, 'https://v2.example'],
    ])
    const [own, admin, v2, again, adminAgain] = api.tokens
    expect([again, adminAgain, new Set([own, admin, v2]).size]).toEqual([v2, admin, 3])
    // The refusal of one API leaves the tokens of the others alone.
    refuses(api, (token) => token === v2)
    expect((await one.fetch(`${api.url}/v2`)).status).toBe(200)
    await one.fetch(`${api.url}/v1/admin/`)
    expect([api.tokens.at(-1), server.complaints]).toEqual([admin, []])
  })
})

test('with cookies, a response that has begun can keep no other token', async () => {
  const { api, user, server } = await startCalling()
  const one = await user()
  refuses(api, () => true)
  const error = await errorOf(
    one.call(async (auth, res) => {
      res.write('begun')
      return auth.fetch(`${api.url}/v1/`)
    }),
  )
  expect([error.code, error.hint]).toEqual(['invalid_configuration', expect.stringContaining('fetch()')])
  expect([api.requests.length, server.counts.token]).toEqual([1, 1])
})

test('goes through the option "fetch", which is told what will be on the wire', async () => {
  const seen: unknown[] = []
  const { api, user } = await startCalling({
    options: ({ url }) => ({
      async fetch(target, init) {
        const to = String(target instanceof Request ? target.url : target)
        if (to.startsWith(url)) seen.push([to, init?.method, init?.redirect])
        return fetch(target, init)
      },
    }),
  })
  const one = await user()
  await one.fetch(`${api.url}/v1/x#top`, { method: 'delete' })
  await one.fetch(new URL(`${api.url}/v1/y`))
  await one.fetch(`${api.url}/v1/z`, { method: 'PURGE' })
  expect(seen).toEqual([
    [`${api.url}/v1/x`, 'DELETE', 'manual'],
    [`${api.url}/v1/y`, 'GET', 'manual'],
    [`${api.url}/v1/z`, 'PURGE', 'manual'],
  ])
})

describe('a signal', () => {
  test('that was given before asks for no token', async () => {
    const { api, user, server } = await startCalling()
    const one = await user()
    travel(life + 1)
    const calling = one.fetch(`${api.url}/v1/`, { signal: AbortSignal.abort() })
    await expect(calling).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
    expect([api.requests.length, server.counts.token]).toEqual([0, 1])
  })

  test('that comes while the API is silent lets the request go, in the words of who gave it', async () => {
    const { api, user, server } = await startCalling()
    const one = await user()
    const controller = new AbortController()
    const enough = new Error('enough')
    let isLetGo = false
    const silent: TransportFault = (response) => {
      response.on('close', () => (isLetGo = true))
      controller.abort(enough)
    }
    api.answer = () => silent
    const calling = one.fetch(`${api.url}/v1/`, { signal: controller.signal })
    await expect(calling).rejects.toBe(enough)
    await expect.poll(() => isLetGo).toBe(true)
    expect([api.requests.length, server.counts.token]).toEqual([1, 1])
  })

  test('that comes while the server is asked is heeded where the option "fetch" heeds none', async () => {
    const deaf: typeof fetch = async (input, init) => fetch(input, { ...init, signal: null })
    const { api, user, server } = await startCalling({ options: () => ({ fetch: deaf }) })
    const one = await user()
    const controller = new AbortController()
    refuses(api, () => true)
    server.misbehave({
      answerToken(_op, response) {
        controller.abort()
        return json(response)
      },
    })
    const calling = one.fetch(`${api.url}/v1/`, { signal: controller.signal })
    await expect(calling).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
    expect([api.requests.length, server.counts.token]).toEqual([1, 2])
  })

  test('that comes while the server is asked is heeded when the browser has the new token', async () => {
    const { api, user, server } = await startCalling()
    const one = await user()
    const controller = new AbortController()
    const enough = new Error('enough')
    refuses(api, () => true)
    server.misbehave({
      async answerToken(_op, response) {
        controller.abort(enough)
        await sleep(20)
        return json(response)
      },
    })
    const calling = one.call(async (auth) =>
      auth.fetch(`${api.url}/v1/`, { signal: controller.signal }).catch((error: unknown) => error),
    )
    expect(await calling).toBe(enough)
    expect([api.requests.length, server.counts.token]).toEqual([1, 2])
    travel(31)
    server.misbehave()
    refuses(api, (token) => token === api.tokens[0])
    expect((await one.fetch(`${api.url}/v1/`)).status).toBe(200)
    expect([server.counts.token, server.complaints]).toEqual([2, []])
  })
})

describe('what every request to an API has', () => {
  const listed = ({ url }: Api) => ({
    apis: [
      {
        url: `${url}/v1/`,
        query: { api_version: '2026-11', 'a&b': 'c=d ä', n: 7 },
        headers: { Accept: 'application/json', 'X-App': 'one' },
      },
      { url: `${url}/plain/` },
    ],
  })

  test.each([
    ['', '?api_version=2026-11&a%26b=c%3Dd%20%C3%A4&n=7'],
    ['?', '?api_version=2026-11&a%26b=c%3Dd%20%C3%A4&n=7'],
    ['?x=%20+&y', '?x=%20+&y&api_version=2026-11&a%26b=c%3Dd%20%C3%A4&n=7'],
    ['?n=8&api_version=&a%26b=2', '?n=8&api_version=&a%26b=2'],
    ['?%6e=8', '?%6e=8&api_version=2026-11&a%26b=c%3Dd%20%C3%A4'],
    ['?x=1#n=8', '?x=1&api_version=2026-11&a%26b=c%3Dd%20%C3%A4&n=7'],
  ])('%j becomes %s: the request’s own value wins', async (given, sent) => {
    const { api, user } = await startCalling({ options: listed })
    await (await user()).fetch(`${api.url}/v1/x${given}`)
    expect(api.requests.map(({ path }) => path)).toEqual([`/v1/x${sent}`])
  })

  test('so do headers, and another API has none of it', async () => {
    const { api, user } = await startCalling({ options: listed })
    const one = await user()
    await one.fetch(`${api.url}/v1/`)
    await one.fetch(`${api.url}/v1/`, { headers: { accept: 'text/csv' } })
    await one.fetch(`${api.url}/plain/x`)
    expect(api.requests.map(({ headers }) => [headers.accept, headers['x-app']])).toEqual([
      ['application/json', 'one'],
      ['text/csv', 'one'],
      ['*/*', undefined],
    ])
    expect(api.requests[2]?.path).toBe('/plain/x')
  })
})

describe('many at once', () => {
  test.each(kinds)('cost one refresh, in two instances: %s', async (kind) => {
    const api = await startApi()
    const { route, call } = caller()
    const { apps, user, token, server } = await startInstances({
      kind,
      routes: route,
      options: { apis: [`${api.url}/v1/`] },
    })
    const cookie = await user()
    const revoked = await token(0, cookie)
    refuses(api, (one) => one === revoked)
    const responses = await Promise.all(
      Array.from({ length: 40 }, async (_, n) =>
        call(apps[n % 2 === 0 ? 0 : 1].url, cookie, (auth) => auth.fetch(`${api.url}/v1/`)),
      ),
    )
    expect(new Set(responses.map(({ result }) => result.status))).toEqual(new Set([200]))
    expect([server.counts.token, server.complaints, new Set(api.tokens).size]).toEqual([2, [], 2])
  })

  test('a refusal that comes late, when there is another token already, costs no refresh', async () => {
    const { api, user, server } = await startCalling()
    const [one, sameBrowser] = [await user(), await user()]
    sameBrowser.cookie = one.cookie
    const revoked = await one.call(ownToken)
    const before = server.counts.token
    let refuse = () => {}
    let hasCome = () => {}
    const come = new Promise<void>((resolve) => {
      hasCome = resolve
    })
    api.answer = ({ path }, token) => {
      if (token !== revoked) return json({})
      if (path !== '/v1/late') return json({}, 401)
      hasCome()
      return (response) => (refuse = () => void response.writeHead(401).end())
    }
    const late = one.fetch(`${api.url}/v1/late`)
    await come
    expect((await sameBrowser.fetch(`${api.url}/v1/`)).status).toBe(200)
    refuse()
    expect((await late).status).toBe(200)
    expect([server.counts.token - before, server.complaints]).toEqual([1, []])
  })
})

test('the token of a request is never passed on: fetch of a bearer says so', async () => {
  const issuer = await startIssuer()
  const other = await startApi()
  const answers: unknown[] = []
  const api = await startGuardedApi(issuer, {
    routes: (app, guard) =>
      app.get('/me', guard, async (req, res) => {
        const { fetch: alone } = getAuth(req)
        for (const calling of [getAuth(req).fetch(other.url), alone(other.url, { method: 'POST' })])
          answers.push(await calling.catch((error: unknown) => error))
        res.end()
      }),
  })
  await api.present(issuer.token())
  const error = expect.objectContaining({
    code: 'invalid_configuration',
    message: expect.stringContaining('clientCredentials()'),
  })
  expect(answers).toEqual([error, error])
  expect(other.requests).toEqual([])
})
