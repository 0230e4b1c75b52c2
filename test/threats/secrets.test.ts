/** Threats to secrets: seals that open too easily, keys that are weak, and values that show up where they must not. */
import { createDecipheriv, createHash, createCipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import express from 'express'
import express4 from 'express4'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { getAuth, oauthLogin, requireLogin, type Auth } from '../../lib/index.js'
import { createSeal } from '../../lib/seal.js'
import { isSameSecret } from '../../lib/secret.js'
import { startApp, storages } from '../support/app.js'
import { openBrowser } from '../support/browser.js'
import { canary, everythingIn, leaks, type Secret } from '../support/canaries.js'
import { startFaultyServer, type Fault, type FaultName } from '../support/faulty-server.js'
import { withClaims } from '../support/faulty-server/faults/modules-basic.js'
import { captureOutput } from '../support/output.js'
import { countingStore, sessionOver } from '../support/express-session.js'
import { serve } from '../support/serve.js'
import { registration } from '../support/stage.js'

const secret = 'Zp3vKq8sXw1yB5nM7tRc2dFg4hJk6lQa'
const another = 'mN8bV7cX6zL5kJ4hG3fD2sA1qWeRtYuI'

describe('T28 a seal', () => {
  const places = [
    [[secret], 'session a', undefined],
    [[secret], 'session b', undefined],
    [[secret], 'login a', undefined],
    [[secret], 'session a', 'one'],
    [[secret], 'session a', 'two'],
    [[secret], 'session a', ''],
    [[another], 'session a', undefined],
  ] as const
  const pairs = places.flatMap((_, from) => places.map((__, to) => [from, to] as const))

  it.each(pairs)('made in place %i opens in place %i only if they are one', (from, to) => {
    const [secrets, purpose, context] = places[from] ?? places[0]
    const [otherSecrets, otherPurpose, otherContext] = places[to] ?? places[0]
    const sealed = createSeal(secrets, purpose).seal({ a: 1 }, context)
    const opened = createSeal(otherSecrets, otherPurpose).open(sealed, otherContext)
    expect(opened).toEqual(from === to ? { a: 1 } : undefined)
  })

  it('opens by any of its secrets, and is made with the first', () => {
    const both = createSeal([another, secret], 'p')
    expect(both.open(createSeal([secret], 'p').seal(1))).toBe(1)
    expect(createSeal([another], 'p').open(both.seal(1))).toBe(1)
    expect(createSeal([secret], 'p').open(both.seal(1))).toBe(undefined)
  })
})

describe('T29 a forged seal', () => {
  const seal = createSeal<unknown>([secret], 'p')

  it.each([0, 4, 8, 12, 13, 14, 15, 17, 32])('with a tag of %i bytes is refused', (length) => {
    const { header, iv, text, tag } = partsOf(seal.seal({ a: 1 }))
    const short = Buffer.concat([tag, Buffer.alloc(16)]).subarray(0, length)
    expect(seal.open(joined({ header, iv, text, tag: short }))).toBe(undefined)
  })

  it.each([4, 8, 12])('whose tag is right but only %i bytes long is refused', (length) => {
    const { header, iv } = partsOf(seal.seal({ a: 1 }))
    const cipher = createCipheriv('aes-256-gcm', keyFor('p'), iv, { authTagLength: length })
    cipher.setAAD(Buffer.from(header))
    const text = Buffer.concat([cipher.update('{"a":2}'), cipher.final()])
    expect(seal.open(joined({ header, iv, text, tag: cipher.getAuthTag() }))).toBe(undefined)
  })

  it('with any one bit changed is refused: 20 000 tries', () => {
    const parts = partsOf(seal.seal({ subject: 'a', scopes: ['b', 'c'] }))
    let opened = 0
    for (let round = 0; round < 20_000; round += 1) {
      const part = (['iv', 'text', 'tag'] as const)[round % 3] ?? 'iv'
      const bytes = Buffer.from(parts[part])
      const bit = round % (bytes.length * 8)
      bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      if (seal.open(joined({ ...parts, [part]: bytes })) !== undefined) opened += 1
    }
    expect(opened).toBe(0)
  })

  it.each([
    { alg: 'none' },
    { enc: 'A128GCM' },
    { kid: 'AAAAAAAA' },
    { zip: 'DEF' },
    { crit: ['exp'] },
    { context: 'somewhere' },
    {},
  ])('with %o in its header is refused', (change) => {
    const { header, ...parts } = partsOf(seal.seal({ a: 1 }))
    const changed = { ...(JSON.parse(Buffer.from(header, 'base64url').toString()) as object), ...change }
    const text = `${JSON.stringify(changed)}${Object.keys(change).length === 0 ? ' ' : ''}`
    expect(seal.open(joined({ header: Buffer.from(text).toString('base64url'), ...parts }))).toBe(undefined)
  })

  it('whose context was rewritten is refused in the new place', () => {
    const { header, ...parts } = partsOf(seal.seal({ a: 1 }, 'one'))
    const text = Buffer.from(header, 'base64url').toString().replace('"one"', '"two"')
    const moved = joined({ header: Buffer.from(text).toString('base64url'), ...parts })
    expect(seal.open(seal.seal({ a: 1 }, 'two'), 'two')).toEqual({ a: 1 })
    expect(seal.open(moved, 'two')).toBe(undefined)
  })

  it('of another number of parts is refused', () => {
    const sealed = seal.seal({ a: 1 })
    const parts = sealed.split('.')
    const strange = [
      '',
      '.',
      '....',
      `${sealed}.`,
      `.${sealed}`,
      parts.slice(0, 4).join('.'),
      sealed.replace('..', '.a.'),
    ]
    expect(strange.map((value) => seal.open(value)).filter((value) => value !== undefined)).toEqual([])
  })

  it('in another spelling of the same bytes is refused', () => {
    const sealed = seal.seal({ a: 1 })
    const spellings = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
      .split('')
      .map((last) => sealed.slice(0, -1) + last)
      .filter((spelling) => spelling !== sealed)
    expect(spellings.filter((spelling) => seal.open(spelling) !== undefined)).toEqual([])
  })
})

describe('T30 the initialisation vector', () => {
  it('never comes twice in 20 000 seals of the same value', () => {
    const seal = createSeal([secret], 'p')
    const vectors = new Set(Array.from({ length: 20_000 }, () => seal.seal(1).split('.')[2]))
    expect(vectors.size).toBe(20_000)
  })

  it('and the key are what they are said to be', () => {
    const sealed = createSeal([secret], 'a purpose').seal({ a: 1 }, 'a context')
    const { header, iv, text, tag } = partsOf(sealed)
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({
      alg: 'dir',
      enc: 'A256GCM',
      kid: keyFor('key id', 6).toString('base64url'),
      context: 'a context',
    })
    expect([iv.length, tag.length]).toEqual([12, 16])
    const decipher = createDecipheriv('aes-256-gcm', keyFor('a purpose'), iv, { authTagLength: 16 })
    decipher.setAAD(Buffer.from(header)).setAuthTag(tag)
    expect(Buffer.concat([decipher.update(text), decipher.final()]).toString()).toBe('{"a":1}')
  })
})

describe('T37 a weak secret', () => {
  it.each([
    [''],
    ['short'],
    ['keyboard cat'],
    ['keyboard cat keyboard cat keyboard cat'],
    ['a'.repeat(64)],
    ['ab'.repeat(32)],
    ['0'.repeat(31)],
    ['change-me-please-change-me-please!'],
    ['YOUR-SECRET-GOES-HERE-1234567890-abc'],
    ['my-secret-is-32-characters-long-yes'],
    ['password-password-1234567890-abcd'],
    ['Zp3vKq8sXw1yB5nM7tRc2dFg4hJk6lQ'],
    [undefined],
    [Buffer.alloc(64, 'abcdefghijkl')],
  ])('%s is refused, also beside a good one', (weak) => {
    for (const secrets of [[weak], [secret, weak], [weak, secret]])
      expect(() => oauthLogin({ ...valid, secrets: secrets as string[] })).toThrow('secrets')
  })

  it.each([[[]], [undefined], [secret], [{ 0: secret }]])('%s is no list of secrets', (secrets) => {
    expect(() => oauthLogin({ ...valid, secrets: secrets as string[] })).toThrow('secrets')
  })

  it('is not repeated in the refusal', () => {
    const weak = 'tH1s-weak-password-must-not-be-shown'
    expect(thrownBy(() => oauthLogin({ ...valid, secrets: [weak] }))).not.toContain(weak)
  })
})

describe('T44 the comparison of secrets', () => {
  it.each([
    ['a', 'a', true],
    ['a', 'b', false],
    ['a', 'aa', false],
    ['', 'a', false],
    ['', '', true],
    ['a\u0000', 'a', false],
    ['é', 'e\u0301', false],
    ['a'.repeat(10_000), 'b', false],
  ])('of %j and %j is %s, and throws for no length', (one, other, same) => {
    expect(isSameSecret(one, other)).toBe(same)
  })

  it('takes the same time for all', () => {
    expect(String(isSameSecret)).toContain('timingSafeEqual')
  })

  it('is nowhere in lib left to ===', () => {
    const names = '(?:state|nonce|csrf\\w*|verifier|code_verifier|\\w*secret|tag|signature)\\b'
    const harmless = "(?!undefined|null|''|\\d)"
    const careless = new RegExp(
      `\\b${names}\\s*[!=]==(?!\\s)\\s*${harmless}|\\b${names} [!=]== ${harmless}|[!=]== (?:\\w+\\.)*${names}`,
      'i',
    )
    const lines = readdirSync('lib', { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) =>
        readFileSync(join('lib', file), 'utf8')
          .split('\n')
          .map((line) => `${file}: ${line.trim()}`),
      )
    expect(lines.length).toBeGreaterThan(2_000)
    expect(lines.filter((line) => careless.test(line) && !line.includes('typeof'))).toEqual([])
  })
})

describe('T47 secrets in what is printed', () => {
  describe.each(storages)('storage %s', (storage) => {
    it('req.auth, the request and the response show none', async () => {
      const server = await startFaultyServer()
      onTestFinished(() => server.close())
      const shown: { where: string; text: string }[] = []
      const cookieSecret = canary('cookie-secret')
      const app = express()
      if (storage === 'session') app.use(sessionOver(countingStore().store))
      const url = await serve((baseUrl) => {
        const options = { ...registration(server), baseUrl, storage, secrets: [cookieSecret] }
        return app.use(oauthLogin(options)).get('/private', requireLogin(), async (request, response) => {
          const auth = getAuth(request)
          await auth.accessToken()
          shown.push(...printsOf(auth), {
            where: 'inspected request',
            text: everythingIn(withoutHeaders(request)),
          })
          response.end('hello')
        })
      })
      server.register(`${url}/callback`)
      expect((await openBrowser().visit(`${url}/private`)).status).toBe(200)
      expect(shown).toHaveLength(5)
      expect(leaks(shown, [...server.secrets, { role: 'cookie secret', value: cookieSecret }])).toEqual([])
    })
  })

  function printsOf(auth: Auth): { where: string; text: string }[] {
    return [
      { where: 'inspected auth', text: everythingIn(auth) },
      { where: 'auth with getters', text: inspect(auth, { getters: true, depth: 9 }) },
      { where: 'auth as JSON', text: JSON.stringify(auth) },
      { where: 'auth spread', text: JSON.stringify({ ...auth }) },
    ]
  }

  /** The request without what the browser itself has sent, which is sealed or spent. */
  function withoutHeaders(request: object): unknown {
    return Object.fromEntries(
      Reflect.ownKeys(request)
        .filter((key) => !['socket', 'client', 'res', 'next'].includes(String(key)))
        .map((key) => [String(key), Reflect.get(request, key)]),
    )
  }
})

const jsonType = { 'content-type': 'application/json' }

const failing: readonly (FaultName | Fault)[] = [
  'token-error-invalid-grant',
  'token-error-invalid-client',
  'token-html',
  'token-500',
  'token-reset',
  'id-token-missing',
  'id-token-expired',
  'oidcc-client-test-invalid-iss',
  'oidcc-client-test-nonce-invalid',
  'oidcc-client-test-invalid-sig-rs256',
  'oidcc-client-test-idtoken-sig-none',
  'oidcc-client-test-userinfo-invalid-sub',
  'authorization-iss-wrong',
  'error-hostile-description',
  {
    answerToken: (_op, response) => ({
      status: 400,
      headers: jsonType,
      body: JSON.stringify({ ...response, error: 'x' }),
    }),
  },
  { answerToken: (_op, response) => ({ status: 418, headers: jsonType, body: JSON.stringify(response) }) },
  {
    answerToken: (_op, response) => ({
      status: 200,
      headers: jsonType,
      body: `${JSON.stringify(response)}}`,
    }),
  },
  {
    answerToken: (_op, response) => ({
      status: 200,
      headers: jsonType,
      body: JSON.stringify({ ...response, token_type: 'x' }),
    }),
  },
  {
    answerToken: (_op, response) => ({
      status: 200,
      headers: jsonType,
      body: JSON.stringify({ ...response, access_token: `${String(response['access_token'])} ` }),
    }),
  },
  {
    answerToken: (_op, response) => ({
      status: 200,
      headers: jsonType,
      body: JSON.stringify({ ...response, refresh_token: `${String(response['refresh_token'])}\n` }),
    }),
  },
  {
    answerUserinfo: (_op, claims) => ({ status: 200, headers: jsonType, body: `${JSON.stringify(claims)}}` }),
  },
  withClaims(() => ({ aud: ['another'] })),
  withClaims(() => ({ sub: 5 })),
]

describe('T48 secrets in errors', () => {
  it.each(
    failing.map(
      (fault) => [typeof fault === 'string' ? fault : JSON.stringify(Object.keys(fault)), fault] as const,
    ),
  )('%s: none in the error, its cause, the page or the events', async (_name, fault) => {
    const output = captureOutput()
    onTestFinished(() => output.restore())
    const server = await startFaultyServer({ fault })
    onTestFinished(() => server.close())
    const app = await startApp({ options: { ...registration(server), userinfo: true, onError: 'next' } })
    onTestFinished(() => app.close())
    server.register(app.callbackUrl)
    const page = await openBrowser().visit(`${app.url}/private`)
    expect(page.status).toBeGreaterThanOrEqual(400)
    expect(app.errors).toHaveLength(1)
    const shown = [
      { where: 'error', text: everythingIn(app.errors) },
      { where: 'error as JSON', text: JSON.stringify(app.errors) },
      { where: 'events', text: everythingIn(app.events) },
      { where: 'page', text: page.body },
      { where: 'output', text: output.text() },
    ]
    expect(leaks(shown, [...server.secrets, ...app.secrets])).toEqual([])
  })

  it('not even a few characters of a token that stands where JSON should', async () => {
    const { errors, secrets } = await failedLogin({
      answerToken: (_op, response) => ({
        status: 200,
        headers: jsonType,
        body: `{"access_token":${String(response['access_token']).slice(-12)}}`,
      }),
    })
    const tails = secrets
      .filter(({ role }) => role === 'access token')
      .map(({ role, value }) => ({ role, value: value.slice(-12, -4) }))
    expect(leaks([{ where: 'error', text: everythingIn(errors) }], tails)).toEqual([])
  })

  describe.each([
    ['5', express],
    ['4', express4],
  ] as const)('with the default error handler of Express %s in development', (_version, framework) => {
    it.each([
      'token-error-invalid-grant',
      'id-token-expired',
      'oidcc-client-test-nonce-invalid',
      'token-html',
    ] as const)('%s', async (fault) => {
      vi.stubEnv('NODE_ENV', 'development')
      onTestFinished(() => void vi.unstubAllEnvs())
      const output = captureOutput()
      onTestFinished(() => output.restore())
      const server = await startFaultyServer({ fault })
      onTestFinished(() => server.close())
      const cookieSecret = canary('cookie-secret')
      const url = await serve((baseUrl) =>
        framework().use(
          oauthLogin({
            ...registration(server),
            baseUrl,
            storage: 'cookie',
            secrets: [cookieSecret],
            onError: 'next',
          }),
        ),
      )
      server.register(`${url}/callback`)
      const { status, body } = await openBrowser().visit(`${url}/login`)
      expect(status).toBeGreaterThanOrEqual(400)
      expect(body).toContain('OAuthError')
      await new Promise(setImmediate) // Express prints a little later
      const shown = [
        { where: 'page', text: body },
        { where: 'output', text: output.text() },
      ]
      expect(leaks(shown, [...server.secrets, { role: 'cookie secret', value: cookieSecret }])).toEqual([])
    })
  })

  async function failedLogin(
    fault: Fault,
  ): Promise<{ errors: readonly unknown[]; secrets: readonly Secret[] }> {
    const server = await startFaultyServer({ fault })
    onTestFinished(() => server.close())
    const app = await startApp({ options: { ...registration(server), onError: 'next' } })
    onTestFinished(() => app.close())
    server.register(app.callbackUrl)
    await openBrowser().visit(`${app.url}/private`)
    expect(app.errors).toHaveLength(1)
    return { errors: app.errors, secrets: server.secrets }
  }
})

const valid = {
  issuer: 'https://issuer.example',
  clientId: 'client-1',
  baseUrl: 'https://app.example',
  storage: 'cookie',
} as const

interface Parts {
  readonly header: string
  readonly iv: Buffer
  readonly text: Buffer
  readonly tag: Buffer
}

function partsOf(sealed: string): Parts {
  const [header = '', , ...rest] = sealed.split('.')
  const [iv = randomBytes(12), text = randomBytes(1), tag = randomBytes(16)] = rest.map((part) =>
    Buffer.from(part, 'base64url'),
  )
  return { header, iv, text, tag }
}

function joined({ header, iv, text, tag }: Parts): string {
  return [header, '', ...[iv, text, tag].map((part) => part.toString('base64url'))].join('.')
}

function keyFor(purpose: string, length = 32): Buffer {
  return Buffer.from(
    hkdfSync(
      'sha256',
      secret,
      '',
      createHash('sha256').update(`express-oauth-kit ${purpose}`).digest(),
      length,
    ),
  )
}

function thrownBy(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return everythingIn(error)
  }
  throw new Error('nothing was thrown')
}
