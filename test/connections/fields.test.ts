import { describe, expect, test } from 'vitest'
import { checkedFields, type ConnectionField } from '../../lib/connections/connection-fields.js'
import { OAuthError } from '../../lib/errors.js'
import { checkOptions } from '../../lib/options.js'

const check = checkOptions('oauthConnections', {}, {})
const fieldsOf = (fields: Record<string, unknown>) =>
  checkedFields(fields as Record<string, ConnectionField>, check)

/** What is said of the field `region` when this is sent. */
function problemWith(field: Partial<ConnectionField>, sent: unknown): string | undefined {
  try {
    fieldsOf({ region: { label: 'Region', ...field } }).read({ region: sent })
    return undefined
  } catch (error) {
    return error instanceof OAuthError && error.code === 'invalid_fields'
      ? error.fields?.['region']
      : String(error)
  }
}

const valueOf = (field: Partial<ConnectionField>, sent: unknown) =>
  fieldsOf({ region: { label: 'Region', ...field } }).read({ region: sent })['region']

test('what was asked for is taken, and nothing else that was sent', () => {
  const fields = fieldsOf({
    region: { label: 'Region', choices: { eu: 'Europe', us: 'America' } },
    tenant: { label: 'Tenant', pattern: /[a-z]+/, help: 'It is in the address of your shop.' },
    note: { label: 'Note', required: false },
    plan: { label: 'Plan', default: 'free' },
  })

  const sent = { region: 'eu', tenant: ' acme ', note: '', owner: 'mallory', csrf_token: 'x' }
  expect(fields.read(sent)).toEqual({ region: 'eu', tenant: 'acme', plan: 'free' })
  expect(fields.asked).toEqual([
    {
      name: 'region',
      label: 'Region',
      required: true,
      choices: [
        { value: 'eu', label: 'Europe' },
        { value: 'us', label: 'America' },
      ],
    },
    { name: 'tenant', label: 'Tenant', required: true, help: 'It is in the address of your shop.' },
    { name: 'note', label: 'Note', required: false },
    { name: 'plan', label: 'Plan', required: true, default: 'free' },
  ])
})

test('each field is told of, in words for users', () => {
  const fields = fieldsOf({
    region: { label: 'Region', choices: { eu: 'Europe', us: 'America' } },
    tenant: { label: 'Tenant', pattern: /[a-z]+/, help: 'It is in the address of your shop.' },
    name: { label: 'Name' },
  })
  const refusal = (() => {
    try {
      return fields.read({ region: 'mars', tenant: 'ACME' })
    } catch (error) {
      return error
    }
  })()
  expect(refusal).toMatchObject({
    code: 'invalid_fields',
    status: 400,
    fields: {
      region: 'Region must be one of Europe, America.',
      tenant: 'Tenant does not look right. It is in the address of your shop.',
      name: 'Name is missing.',
    },
  })
})

describe('a value', () => {
  const line = 'Region must be one line of at most 200 characters.'

  test.each<[unknown]>([
    [7],
    [true],
    [['eu']],
    [{ toString: () => 'eu' }],
    ['a\nb'],
    ['a\u0000b'],
    ['a\u2028b'],
    ['a\u2029b'],
    ['a\ud800b'],
    ['x'.repeat(201)],
  ])('%j is no line', (sent) => {
    expect(problemWith({}, sent)).toBe(line)
    expect(problemWith({ required: false }, sent)).toBe(line)
  })

  test.each<[unknown]>([[undefined], [null], [''], ['  '], ['\t\n']])('%j is none', (sent) => {
    expect(problemWith({}, sent)).toBe('Region is missing.')
    expect(valueOf({ required: false }, sent)).toBeUndefined()
    expect(valueOf({ default: 'eu' }, sent)).toBe('eu')
    expect(valueOf({ default: 'eu', choices: ['us', 'eu'] }, sent)).toBe('eu')
  })

  test('of 200 characters, in any script, is one', () => {
    expect(valueOf({}, 'x'.repeat(200))).toBe('x'.repeat(200))
    expect(valueOf({}, ' Zürich 東京 👍 <b> ')).toBe('Zürich 東京 👍 <b>')
  })

  test.each<[RegExp, string, boolean]>([
    [/eu|europe/, 'europe', true],
    [/eu|europe/, 'xeu', false],
    [/[a-z]+/, 'acme1', false],
    [/[a-z]+/i, 'ACME', true],
    [/^[a-z]+$/, 'acme', true],
    [/a$|b/m, 'a b', false],
    [/[a-z]/u, 'a', true],
  ])('is matched by %s as a whole: %j', (pattern, sent, isGood) => {
    expect(problemWith({ pattern }, sent)).toBe(isGood ? undefined : 'Region does not look right.')
  })

  test('is matched from its start each time, whatever the flags', () => {
    const fields = fieldsOf({ region: { label: 'Region', pattern: /[a-z]+/gy } })
    for (let time = 0; time < 3; time++) expect(fields.read({ region: 'acme' })).toEqual({ region: 'acme' })
  })

  test('is told of in few words where there are many choices', () => {
    const choices = Array.from({ length: 50 }, (_, index) => `region-${index}`)
    expect(problemWith({ choices }, 'x')).toBe('Region must be one of the choices.')
  })
})

test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('%s sent is no value', (name) => {
  const fields = fieldsOf({ region: { label: 'Region', required: false } })
  const sent = JSON.parse(`{ "${name}": { "region": "eu", "polluted": true } }`) as Record<string, unknown>
  const values = fields.read(sent)
  expect(Object.entries(values)).toEqual([])
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
})

test('a field may have the name of a method, and its value is what was sent alone', () => {
  const fields = fieldsOf({ toString: { label: 'Text' } })
  expect(() => fields.read({})).toThrowError(
    expect.objectContaining({ fields: { toString: 'Text is missing.' } }),
  )
  expect(fields.read({ toString: 'x' })['toString']).toBe('x')
})

describe('kept values', () => {
  const fields = fieldsOf({
    region: { label: 'Region', choices: ['eu'] },
    plan: { label: 'Plan', default: 'free' },
    note: { label: 'Note', required: false },
    name: { label: 'Name', pattern: /[a-z]+/ },
  })

  test('are those that were asked about, with the default of a field that was added later', () => {
    const kept = { region: 'eu', name: 'ACME', gone: 'x' }
    expect(fields.kept(kept, ['region', 'plan', 'note', 'gone'])).toEqual({ region: 'eu', plan: 'free' })
  })

  test('are refused when they are no longer possible', () => {
    expect(() => fields.kept({ region: 'us' }, ['region'])).toThrowError(
      expect.objectContaining({ code: 'invalid_fields' }),
    )
    expect(() => fields.kept({ name: 'ACME' }, ['name'])).toThrowError(
      expect.objectContaining({ code: 'invalid_fields' }),
    )
  })
})

describe('a description of a field', () => {
  const description = (name: string, field: unknown) => {
    try {
      checkedFields(Object.fromEntries([[name, field as ConnectionField]]), check)
      return 'nothing was thrown'
    } catch (error) {
      return error instanceof OAuthError ? error.message : String(error)
    }
  }
  const region = (changes: object) => description('region', { label: 'Region', ...changes })

  test.each([
    ['__proto__'],
    ['constructor'],
    ['prototype'],
    ['csrf_token'],
    ['return_to'],
    ['a b'],
    ['a-b'],
    ['1a'],
    [''],
    ['x'.repeat(41)],
  ])('of the name %j is refused', (name) => {
    expect(description(name, { label: 'X' })).toContain(
      `oauthConnections: option "fields.${name}" has a name that cannot be`,
    )
  })

  test.each<[object, string]>([
    [{ label: undefined }, '"fields.region.label" is missing; say what it is called on a page'],
    [{ label: '' }, '"fields.region.label" is not a string with content'],
    [{ lable: 'x' }, '"fields.region.lable" is not known; did you mean "label"?'],
    [{ required: 'no' }, '"fields.region.required" is "no"; set it to true or false'],
    [{ choices: [] }, '"fields.region.choices" is no list of texts'],
    [{ choices: {} }, '"fields.region.choices" is no list of texts'],
    [{ choices: 'eu' }, '"fields.region.choices" is no list of texts'],
    [{ choices: null }, '"fields.region.choices" is no list of texts'],
    [{ choices: ['eu', 7] }, '"fields.region.choices" is no list of texts'],
    [{ choices: ['eu', ''] }, '"fields.region.choices" is no list of texts'],
    [{ choices: { eu: 7 } }, '"fields.region.choices" is no list of texts'],
    [{ choices: ['eu '] }, '"fields.region.choices" has "eu "; give one line'],
    [{ choices: ['a\nb'] }, '"fields.region.choices" has "a\nb"; give one line'],
    [{ choices: ['eu', 'US'], pattern: /[a-z]+/ }, '"fields.region.choices" has "US"'],
    [{ pattern: '[a-z]+' }, '"fields.region.pattern" is not a regular expression'],
    [{ default: 7 }, '"fields.region.default" is not a string with content'],
    [{ default: '' }, '"fields.region.default" is not a string with content'],
    [{ default: 'eu', choices: ['us'] }, '"fields.region.default" is "eu"; give one of the choices'],
    [{ default: 'EU', pattern: /[a-z]+/ }, '"fields.region.default" is "EU"; give one line of at most 200'],
    [{ default: 'x'.repeat(201) }, '"fields.region.default" is'],
    [{ help: 7 }, '"fields.region.help" is not a string with content'],
  ])('%j is refused', (changes, message) => {
    expect(region(changes)).toContain(`oauthConnections: option ${message}`)
  })

  test.each<[unknown]>([[null], ['Region'], [7], [['Region']]])('%j is refused', (field) => {
    expect(description('region', field)).toMatch(/option "fields.region" is .*; give an object with label/)
  })
})
