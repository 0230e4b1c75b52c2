import { afterEach, describe, expect, test, vi } from 'vitest'
import { accountReader } from '../../lib/connections/provider-account.js'
import type { ConnectionProvider } from '../../lib/connections/provider-options.js'
import { startConnecting } from '../support/connecting.js'

type Reading = Pick<ConnectionProvider, 'accountId' | 'label' | 'emailAsAccountId'>
const reader = (options: Reading = {}) => accountReader({ key: 'projects', name: 'Projects' }, options)
const giving = (value: unknown) => () => value as string

afterEach(() => vi.restoreAllMocks())

function refusal(options: Reading, answer: unknown = {}): unknown {
  try {
    return reader(options).accountId(answer)
  } catch (error) {
    return error
  }
}

describe('whose account it is', () => {
  test('the app’s function tells, or the subject', () => {
    expect(reader({ accountId: (me: { id: number }) => me.id }).accountId({ id: 42 })).toBe('42')
    expect(reader({ accountId: (me: { id: string }) => me.id }).accountId({ id: 'a b/c' })).toBe('a b/c')
    expect(reader().accountId({ sub: 'alice' })).toBe('alice')
  })

  test.each<[unknown]>([
    [undefined],
    [null],
    [''],
    [{}],
    [['a']],
    [true],
    [Number.NaN],
    [Infinity],
    // The parser of JSON has made one number of many: 9007199254740992 and 9007199254740993 are the same one.
    [2 ** 53],
    [0.5],
    [Promise.resolve('a')],
    ['a\nb'],
    ['a\u0000'],
    ['\ud800'],
    ['x'.repeat(251)],
  ])('%s is no answer', (value) => {
    expect(refusal({ accountId: giving(value) })).toMatchObject({
      code: 'account_unknown',
      reason: 'account_id',
      hint: 'The function in the option "providers.projects.accountId" must give one line of at most 250 characters, or a whole number that JSON keeps as it is (of at most 2^53 - 1).',
    })
  })

  test('a function that throws is named, and what it threw is kept', () => {
    const thrown = refusal({ accountId: (me: { account: { id: string } }) => me.account.id })
    expect((thrown as Error).cause).toMatchObject({ name: 'TypeError' })
    expect(thrown).toMatchObject({
      code: 'account_unknown',
      status: 502,
      reason: 'account_id_function',
      hint: expect.stringContaining('"providers.projects.accountId" threw an error'),
    })
  })

  test.each<[unknown]>([[undefined], [null], ['text'], [{}]])('the answer %j has no subject', (answer) => {
    expect(refusal({}, answer)).toMatchObject({ code: 'account_unknown', reason: 'account_id' })
  })

  test('T12 an e-mail address names no account, unless the app has said so', () => {
    const accountId = giving('alice@service.example')
    expect(refusal({ accountId })).toMatchObject({
      code: 'account_unknown',
      reason: 'account_id_email',
      hint: expect.stringContaining('set "emailAsAccountId"'),
    })
    expect(refusal({ accountId, emailAsAccountId: true })).toBe('alice@service.example')
    expect(refusal({ accountId: giving('@alice') })).toBe('@alice')
    expect(refusal({ accountId: giving('acct:alice@localhost') })).toBe('acct:alice@localhost')
    // OpenID Connect Core §2: a subject is never given to another.
    expect(refusal({}, { sub: 'alice@service.example' })).toBe('alice@service.example')
  })
})

describe('a label', () => {
  test.each<[unknown, string]>([
    ['Alice’s projects', 'Alice’s projects'],
    [7, '7'],
    ['', 'Projects'],
    [' \n ', 'Projects'],
    [undefined, 'Projects'],
    [null, 'Projects'],
    ['<script>alert(1)</script>', '<script>alert(1)</script>'],
    ['a\u0000b\r\nc\u2028d', 'a b c d'],
    ['a\u202eb\u2066c', 'abc'],
    ['👩‍🚀', '👩‍🚀'],
    [`${'x'.repeat(99)}👍`, 'x'.repeat(99)],
    ['x'.repeat(1_000_000), 'x'.repeat(100)],
  ])('of %j is one line of plain text', (value, label) => {
    expect(reader({ label: giving(value) }).label({})).toBe(label)
  })

  test.each<[string, () => unknown, string]>([
    ['throws', () => (undefined as unknown as { name: string }).name, 'threw a TypeError'],
    [
      'throws no error',
      () => {
        // oxlint-disable-next-line typescript/only-throw-error -- what an app may do
        throw 'secret'
      },
      'threw something',
    ],
    ['is asynchronous', async () => 'x', 'gave a promise'],
    ['gives an object', () => ({}), 'gave no text'],
  ])('of a function that %s is the name, and the developer is told once', (_what, label, problem) => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const read = reader({ label: label as () => string })
    expect([read.label({}), read.label({}), read.label({})]).toEqual(['Projects', 'Projects', 'Projects'])
    expect(warn).toHaveBeenCalledOnce()
    expect(warn).toHaveBeenCalledWith(
      `oauthConnections: the function in the option "providers.projects.label" ${problem}; such connections are called "Projects". Give a text for whatever the provider answers.`,
      { code: 'OAUTH_CONNECTION_LABEL' },
    )
  })
})

test('connecting fails in words when nobody can tell whose account it is, and leaves nothing', async () => {
  const accountId = (me: { account: { id: string } }) => me.account.id
  const stage = await startConnecting({ providers: { projects: { accountId } } })
  const alice = await stage.signedIn('alice')

  const back = await stage.connect(alice)

  expect(back.url).toBe(`${stage.app.url}/`)
  const { connections, outcome } = await stage.list(alice)
  expect(connections).toEqual([])
  expect(outcome).toMatchObject({
    status: 'failed',
    error: 'account_unknown',
    hint: expect.stringContaining('"providers.projects.accountId"'),
  })
  expect(stage.providers['projects']?.server.counts.revocation).toBe(2)
})
