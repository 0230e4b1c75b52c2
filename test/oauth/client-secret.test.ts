import { describe, expect, test } from 'vitest'
import { getAuth, isOAuthError, OAuthError, oauthLogin, type ClientSecret } from '../../lib/index.js'
import { clientSecrets } from '../../lib/oauth/client-secret.js'
import { openBrowser } from '../support/browser.js'
import { canary, everythingIn, leaks } from '../support/canaries.js'
import { json } from '../support/faulty-server/answer.js'
import { grants } from '../support/faulty-server/token.js'
import { bare, cookieHeader, ownForm } from '../support/requests.js'
import { startStage } from '../support/stage.js'
import { travel } from '../support/time.js'

const [old, fresh, other] = ['the-old-secret', 'the-new-secret', 'another-secret']

/** A token endpoint that takes one secret at a time, after a while. */
function endpoint(accepted: string, { after = 5 } = {}) {
  const seen: string[] = []
  const server = { accepted, seen, wrong: () => seen.filter((secret) => secret !== server.accepted).length }
  const request = async (secret: string) => {
    seen.push(secret)
    await new Promise((resolve) => setTimeout(resolve, after))
    if (secret !== server.accepted) throw new OAuthError('invalid_client')
    return secret
  }
  return { ...server, server, request }
}

function secretsOf(configured: ClientSecret, timeout = 1) {
  return clientSecrets(configured, { timeout, now: () => Math.floor(Date.now() / 1000) })
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (isOAuthError(error) ? error.code : String(error)),
  )
}

describe('a list', () => {
  test('the next secret is tried once when one is refused, and is in use from then on', async () => {
    const { server, request } = endpoint(old)
    const secrets = secretsOf([old, fresh])
    expect(await secrets.authenticated(request)).toBe(old)
    server.accepted = fresh
    expect(await secrets.authenticated(request)).toBe(fresh)
    expect(await secrets.authenticated(request)).toBe(fresh)
    travel(3_600)
    expect(await secrets.authenticated(request)).toBe(fresh)
    expect(server.seen).toEqual([old, old, fresh, fresh, fresh])
  })

  test('the order of the list does not matter', async () => {
    const { server, request } = endpoint(old)
    const secrets = secretsOf([fresh, old])
    for (let call = 0; call < 3; call++) expect(await secrets.authenticated(request)).toBe(old)
    server.accepted = fresh
    for (let call = 0; call < 3; call++) expect(await secrets.authenticated(request)).toBe(fresh)
    expect(server.seen).toEqual([fresh, old, old, old, old, fresh, fresh, fresh])
  })

  test('when none is good the error stands, after one try of each', async () => {
    const { server, request } = endpoint('none of them')
    const secrets = secretsOf([old, fresh, other, old])
    expect(await codeOf(secrets.authenticated(request))).toBe('invalid_client')
    expect(server.seen).toEqual([old, fresh, other])
  })

  test('one secret is sent once', async () => {
    for (const configured of [old, [old], [old, old]]) {
      const { server, request } = endpoint('another')
      expect(await codeOf(secretsOf(configured).authenticated(request))).toBe('invalid_client')
      expect(server.seen).toEqual([old])
    }
  })

  test('other errors try no other secret', async () => {
    for (const code of ['invalid_grant', 'server_unavailable', 'unauthorized_client'] as const) {
      let calls = 0
      const run = async () => {
        calls += 1
        throw new OAuthError(code)
      }
      expect(await codeOf(secretsOf([old, fresh]).authenticated(run))).toBe(code)
      expect(calls).toBe(1)
    }
  })

  test('a grant that is refused shows that the secret was not', async () => {
    const secrets = secretsOf([old, fresh])
    const seen: string[] = []
    const run = async (secret: string) => {
      seen.push(secret)
      throw new OAuthError(secret === old ? 'invalid_client' : 'invalid_grant')
    }
    for (let call = 0; call < 3; call++)
      expect(await codeOf(secrets.authenticated(run))).toBe('invalid_grant')
    expect(seen).toEqual([old, fresh, fresh, fresh])
  })
})

describe('a function', () => {
  test('is asked once, and again when its secret is refused', async () => {
    const { server, request } = endpoint(old)
    let asked = 0
    const secrets = secretsOf(async () => {
      asked += 1
      return server.accepted
    })
    for (let call = 0; call < 3; call++) await secrets.authenticated(request)
    expect(asked).toBe(1)
    server.accepted = fresh
    for (let call = 0; call < 3; call++) expect(await secrets.authenticated(request)).toBe(fresh)
    expect([asked, server.seen]).toEqual([2, [old, old, old, old, fresh, fresh, fresh]])
    expect(secrets.known()).toEqual([old, fresh])
  })

  test('that gives the refused secret again lets the error stand', async () => {
    const { server, request } = endpoint('another')
    let asked = 0
    const secrets = secretsOf(() => {
      asked += 1
      return old
    })
    expect(await codeOf(secrets.authenticated(request))).toBe('invalid_client')
    expect([asked, server.seen]).toEqual([2, [old]])
  })

  test('that makes secrets up is not asked for ever', async () => {
    const { server, request } = endpoint('another')
    let asked = 0
    const secrets = secretsOf(() => `secret ${(asked += 1)}`)
    expect(await codeOf(secrets.authenticated(request))).toBe('invalid_client')
    expect(server.seen).toEqual(['secret 1', 'secret 2'])
  })

  test('may give a list', async () => {
    const { server, request } = endpoint(fresh)
    expect(await secretsOf(() => [old, fresh]).authenticated(request)).toBe(fresh)
    expect(server.seen).toEqual([old, fresh])
  })

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('the vault is sealed')
      },
    ],
    ['rejects', async () => Promise.reject(new Error('the vault is sealed'))],
    ['gives nothing', () => undefined],
    ['gives an empty text', () => ''],
    ['gives an empty list', () => []],
    ['gives a list with nothing in it', () => [old, '']],
    ['gives a number', () => 42],
    ['does not answer', () => new Promise(() => {})],
  ])('that %s is a dependency that fails: 503, and no request', async (_what, source) => {
    const { server, request } = endpoint(old)
    const failure = await secretsOf(source as never, 0.1)
      .authenticated(request)
      .catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: 'temporarily_unavailable',
      status: 503,
      reason: 'client_secret',
      hint: expect.stringContaining('secret manager'),
      headers: { 'retry-after': '5' },
    })
    expect(server.seen).toEqual([])
  })

  test('that fails once does not fail for ever', async () => {
    const { request } = endpoint(old)
    let asked = 0
    const secrets = secretsOf(() => ((asked += 1) === 1 ? '' : old))
    expect(await codeOf(secrets.authenticated(request))).toBe('temporarily_unavailable')
    expect(await secrets.authenticated(request)).toBe(old)
  })
})

describe('a hundred requests at once', () => {
  const hundred = <T>(run: () => Promise<T>) => Promise.all(Array.from({ length: 100 }, run))

  test.each<[string, (accepted: () => string) => ClientSecret]>([
    ['list', () => [old, fresh]],
    ['function', (accepted) => async () => accepted()],
  ])('make one wrong attempt when the secret of a %s has changed meanwhile', async (_what, configured) => {
    const { server, request } = endpoint(old)
    const secrets = secretsOf(configured(() => server.accepted))
    await secrets.authenticated(request)
    server.accepted = fresh
    travel(11)
    expect(new Set(await hundred(() => secrets.authenticated(request)))).toEqual(new Set([fresh]))
    expect(server.seen.filter((secret) => secret === old).length).toBe(2)
    expect(server.seen.length).toBe(1 + 1 + 100)
  })

  test('that are under way when it changes are refused once each, and only one tries the next', async () => {
    const { server, request } = endpoint(old)
    const secrets = secretsOf([old, other, fresh])
    await secrets.authenticated(request)
    server.accepted = fresh
    expect(new Set(await hundred(() => secrets.authenticated(request)))).toEqual(new Set([fresh]))
    const count = (secret: string) => server.seen.filter((one) => one === secret).length
    expect([count(old), count(other), count(fresh)]).toEqual([101, 1, 100])
    await hundred(() => secrets.authenticated(request))
    expect([count(old), count(other)]).toEqual([101, 1])
  })

  test('share the refusal when no secret is good', async () => {
    const { server, request } = endpoint('another')
    const codes = await hundred(() => codeOf(secretsOfAll.authenticated(request)))
    expect([new Set(codes), server.seen]).toEqual([new Set(['invalid_client']), [old, fresh]])
  })
  const secretsOfAll = secretsOf([old, fresh])

  test('share it, too, when they were under way with the one that was good until then', async () => {
    const { server, request } = endpoint(old)
    const secrets = secretsOf([old, fresh])
    await secrets.authenticated(request)
    server.accepted = 'another'
    const codes = await hundred(() => codeOf(secrets.authenticated(request)))
    const count = (secret: string) => server.seen.filter((one) => one === secret).length
    expect([new Set(codes), count(old), count(fresh)]).toEqual([new Set(['invalid_client']), 101, 1])
    // Known to be bad now, however lately it was good.
    await hundred(() => codeOf(secrets.authenticated(request)))
    expect([count(old), count(fresh)]).toEqual([102, 2])
  })

  test('do not bring the old secret back when one with it is answered late', async () => {
    const { server, request } = endpoint(old)
    const secrets = secretsOf([old, fresh])
    await secrets.authenticated(request)
    let answer = () => {}
    const late = secrets.authenticated(async (secret) => {
      await new Promise<void>((resolve) => (answer = resolve))
      return secret
    })
    server.accepted = fresh
    await secrets.authenticated(request)
    answer()
    expect(await late).toBe(old)
    expect(await secrets.authenticated(request)).toBe(fresh)
    expect(server.seen).toEqual([old, old, fresh, fresh])
  })

  test('do not wait for a trial that hangs', async () => {
    const secrets = secretsOf([old, fresh])
    let calls = 0
    let end = () => {}
    const hangs = new Promise<void>((resolve) => (end = resolve))
    const hangsOnce = async (secret: string) => {
      calls += 1
      if (calls === 1) await hangs
      return secret
    }
    const trial = secrets.authenticated(hangsOnce)
    await hundred(() => secrets.authenticated(hangsOnce))
    end()
    expect([await trial, calls]).toEqual([old, 101])
  })

  test('ask a slow function once', async () => {
    const { request } = endpoint(old)
    let asked = 0
    const secrets = secretsOf(async () => {
      asked += 1
      await new Promise((resolve) => setTimeout(resolve, 1_500))
      return old
    }, 10)
    await hundred(() => secrets.authenticated(request))
    expect(asked).toBe(1)
  })

  test('go on when a trial ends in an outage', async () => {
    const secrets = secretsOf([old, fresh])
    let calls = 0
    const run = async (secret: string) => {
      calls += 1
      if (calls === 1) throw new OAuthError('server_unavailable')
      return secret
    }
    const codes = await hundred(() => codeOf(secrets.authenticated(run)))
    expect(codes.filter((code) => code === 'done').length).toBe(99)
  })
})

describe('a user of the app', () => {
  test.each<[string, (at: () => string) => ClientSecret]>([
    ['list', () => [old, fresh]],
    ['function', (at) => () => at()],
  ])(
    'notices nothing of a %s while the secret changes: login, refresh, logout',
    async (_what, configured) => {
      let now = old
      const stage = await startStage({
        server: { clientSecret: old },
        options: { clientSecret: configured(() => now) },
        routes: ({ get }) => get('/token', async (req, res) => res.end(await getAuth(req).accessToken())),
      })
      const { server, app, signedIn } = stage
      const browser = await signedIn()
      const change = (to: string) => {
        now = to
        server.changeSecret(to)
      }
      // The refused request has spent neither code nor refresh token.
      change(fresh)
      await signedIn()
      change(old)
      travel(3_601)
      expect((await browser.visit(`${app.url}/token`)).status).toBe(200)
      change(fresh)
      const cookie = await cookieHeader(browser, app.url)
      await bare(`${app.url}/logout`, { ...ownForm, cookie }, { method: 'POST' })
      expect(app.events.filter(({ type }) => type.endsWith('_failed'))).toEqual([])
      expect(server.complaints).toEqual([
        'token request: wrong client id or secret',
        'token request: wrong client id or secret',
        'revocation request: wrong client id or secret',
      ])
    },
  )

  test('is neither signed in nor out by a secret manager that is down', async () => {
    let isDown = false
    const { app, server, signedIn, pending } = await startStage({
      server: { clientSecret: old },
      options: {
        clientSecret: () => {
          if (isDown) throw new Error('the vault is sealed')
          return [old, fresh]
        },
      },
      routes: ({ get }) =>
        get('/token', async (req, res) => {
          const error = await getAuth(req)
            .accessToken({ forceRefresh: true })
            .catch((thrown: unknown) => thrown)
          res.end(isOAuthError(error) ? `${error.code} ${error.reason}` : 'a token')
        }),
    })
    const browser = await signedIn()
    isDown = true
    server.changeSecret('a secret that only the vault knows')
    expect((await browser.visit(`${app.url}/token`)).body).toBe('temporarily_unavailable client_secret')
    expect((await browser.visit(`${app.url}/private`)).url).toBe(`${app.url}/private`)
    const newcomer = openBrowser()
    const page = await newcomer.visit(await pending(newcomer), { follow: false })
    expect([page.status, page.headers['retry-after']]).toEqual([503, '5'])
    expect((await bare(`${app.url}/private`, { accept: 'application/json' })).status).toBe(401)
    const logout = { ...ownForm, cookie: await cookieHeader(browser, app.url) }
    expect((await bare(`${app.url}/logout`, logout, { method: 'POST' })).status).toBe(200)
  })

  test('sees none of the secrets, whatever the server says of them', async () => {
    const one = canary('client-secret')
    const both = [one, `${one}-and-more`]
    const { app, signedIn } = await startStage({
      options: { clientSecret: both },
      server: {
        clientSecret: canary('client-secret'),
        fault: {
          clientComplaints: () => [],
          grants: {
            authorization_code: {
              complaints: () => [],
              authorization: grants['authorization_code']!.authorization,
            },
          },
          answerToken: () => json({ error: 'invalid_client', error_description: `not ${both.join()}` }, 401),
        },
      },
    })
    await expect(signedIn()).rejects.toThrow('500')
    const secrets = both.map((value) => ({ role: 'client secret', value }))
    const said = app.events
    expect(said).toContainEqual(expect.objectContaining({ type: 'login_failed', code: 'invalid_client' }))
    expect(leaks([{ where: 'events', text: everythingIn(said) }], secrets)).toEqual([])
    expect(everythingIn(said)).toContain("not [redacted],[redacted]'")
  })
})

test.each<[string, unknown, string]>([
  ['an empty text', '', 'is not a string with content'],
  ['an empty list', [], 'is an empty list'],
  ['a list with nothing in it', [old, ''], 'has an entry that is not a string with content'],
  ['a number', 5, 'is not a string with content'],
])('%s is refused when the app starts', (_what, clientSecret, problem) => {
  expect(() =>
    oauthLogin({
      issuer: 'https://auth.example.com',
      clientId: 'app',
      clientSecret: clientSecret as never,
      baseUrl: 'https://app.example.com',
      storage: 'cookie',
      secrets: ['Zq3v8x-b2N5w_P1s9d7f4g6h0jKlM-rT'],
    }),
  ).toThrow(`"clientSecret" ${problem}`)
})
