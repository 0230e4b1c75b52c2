/** What is asked of the user before an account is connected, such as the region that it is in. */

import { OAuthError } from '../errors.js'
import type { OptionChecks } from '../options.js'
import type { FieldValues } from './url-template.js'

export interface ConnectionField {
  /** What the field is called on a page. */
  readonly label: string
  /** Whether it must have a value; one with a `default` always has. Default true. */
  readonly required?: boolean
  /** The values that are possible; those of an object have a name for people: `{ eu: 'Europe', us: 'America' }`. */
  readonly choices?: readonly string[] | Readonly<Record<string, string>>
  /** What a whole value must match; `help` says it in words. Default: any line of 200 characters at most. */
  readonly pattern?: RegExp
  /** The value when none is given. Default: none. */
  readonly default?: string
  /** A sentence that helps to fill it in. Default: none. */
  readonly help?: string
}

/** A field as a page asks for it. */
export interface AskedField {
  readonly name: string
  readonly label: string
  readonly required: boolean
  readonly choices?: readonly { readonly value: string; readonly label: string }[]
  readonly default?: string
  readonly help?: string
}

export interface Fields {
  readonly asked: readonly AskedField[]
  /** The values of what somebody sent, and nothing else of it. Throws `invalid_fields`, with a sentence on each. */
  read(sent: Readonly<Record<string, unknown>>): FieldValues
  /**
   * The kept values of some fields, by what the app asks for today: a field that was added later has its default. Throws
   * `invalid_fields` for what is no longer possible.
   */
  kept(values: FieldValues, names: readonly string[]): FieldValues
  /** Values to try a template with: each choice comes up once at least. */
  samples(names: readonly string[]): readonly FieldValues[]
  /** Whether the app lists all values. */
  isFixed(name: string): boolean
  /** Whether there is always a value. */
  isAlwaysThere(name: string): boolean
}

const known: Record<keyof ConnectionField, true> = {
  label: true,
  required: true,
  choices: true,
  pattern: true,
  default: true,
  help: true,
}

const longestValue = 200

export function checkedFields(
  fields: Readonly<Record<string, ConnectionField>> | undefined,
  check: OptionChecks,
): Fields {
  const all = new Map(
    Object.entries(fields ?? {}).map(([name, field]) => [name, checkedField(name, field, check)]),
  )

  function valuesOf(sent: Readonly<Record<string, unknown>>, names: Iterable<string>): FieldValues {
    const values: Record<string, string> = {}
    const problems: Record<string, string> = {}
    for (const name of names) {
      const field = all.get(name)
      if (!field) continue
      const { value, problem } = judged(field, Object.hasOwn(sent, name) ? sent[name] : undefined)
      if (problem !== undefined) problems[name] = problem
      else if (value !== undefined) values[name] = value
    }
    if (Object.keys(problems).length === 0) return values
    throw new OAuthError('invalid_fields', { fields: problems })
  }

  return {
    asked: [...all.values()].map(({ asked }) => asked),
    read: (sent) => valuesOf(sent, all.keys()),
    kept: valuesOf,
    samples(names) {
      const sample = Object.fromEntries(names.map((name) => [name, samplesOf(all.get(name)).at(0) ?? '']))
      const others = names.flatMap((name) =>
        samplesOf(all.get(name)).map((value) => ({ ...sample, [name]: value })),
      )
      return [sample, ...others]
    },
    isFixed: (name) => all.get(name)?.asked.choices !== undefined,
    isAlwaysThere(name) {
      const asked = all.get(name)?.asked
      return asked !== undefined && (asked.required || asked.default !== undefined)
    },
  }
}

interface CheckedField {
  readonly asked: AskedField
  readonly pattern: RegExp | undefined
}

function samplesOf(field: CheckedField | undefined): readonly string[] {
  const { choices, default: byDefault } = field?.asked ?? {}
  return choices?.map(({ value }) => value) ?? [byDefault ?? 'example']
}

/** The value of what somebody sent, or what is wrong with it; neither when there is none and none is needed. */
function judged(
  { asked, pattern }: CheckedField,
  sent: unknown,
): { readonly value?: string | undefined; readonly problem?: string } {
  const { label, choices, help } = asked
  const text = sent === undefined || sent === null ? '' : typeof sent === 'string' ? sent.trim() : undefined
  if (text === '') {
    const isMissing = asked.required && asked.default === undefined
    return isMissing ? { problem: `${label} is missing.` } : { value: asked.default }
  }
  if (text === undefined || !isLine(text))
    return { problem: `${label} must be one line of at most ${longestValue} characters.` }
  if (choices && !choices.some(({ value }) => value === text))
    return { problem: `${label} must be ${choicesInWords(choices.map((choice) => choice.label))}.` }
  if (pattern && !pattern.test(text))
    return { problem: `${label} does not look right.${help === undefined ? '' : ` ${help}`}` }
  return { value: text }
}

/** Half a character is none, and no database keeps it. */
function isLine(text: string): boolean {
  return text.length <= longestValue && !/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(text)
}

function choicesInWords(labels: readonly string[]): string {
  return labels.length <= 10 ? `one of ${labels.join(', ')}` : 'one of the choices'
}

/** Names that a form uses for something else, and one that is no name of an object's own. */
const reserved = ['csrf_token', 'return_to', 'constructor', 'prototype']

function checkedField(name: string, field: ConnectionField, check: OptionChecks): CheckedField {
  if (!/^[a-z][a-z0-9_]{0,39}$/i.test(name) || reserved.includes(name))
    check.refuse(
      `fields.${name}`,
      'has a name that cannot be',
      `use at most 40 letters, digits and "_", a letter first, and none of ${reserved.join(', ')}`,
    )
  const within = check.within(`fields.${name}`, field, known)
  const choices = checkedChoices(field.choices, within)
  const pattern = checkedPattern(field.pattern, within)
  const checked = {
    asked: {
      name,
      label: within.string('label', field.label, 'say what it is called on a page'),
      required: field.required === undefined ? true : within.boolean('required', field.required),
      ...(choices && { choices }),
      ...(field.default !== undefined && { default: within.string('default', field.default, 'give a text') }),
      ...(field.help !== undefined && { help: within.string('help', field.help, 'give a sentence') }),
    },
    pattern,
  }
  // What nobody could send is no choice.
  for (const [option, value] of [
    ...(choices ?? []).map((choice) => ['choices', choice.value] as const),
    ['default', field.default] as const,
  ]) {
    if (value === undefined || judged(checked, value).value === value) continue
    within.refuse(
      option,
      option === 'default' ? `is "${value}"` : `has "${value}"`,
      choices && option === 'default'
        ? 'give one of the choices'
        : `give one line of at most ${longestValue} characters, without a space at either end${pattern ? ', that the pattern matches' : ''}`,
    )
  }
  return checked
}

function checkedChoices(choices: unknown, check: OptionChecks): AskedField['choices'] {
  if (choices === undefined) return undefined
  const entries: unknown[][] = Array.isArray(choices)
    ? choices.map((value: unknown) => [value, value])
    : choices !== null && typeof choices === 'object'
      ? Object.entries(choices)
      : []
  const isGood = entries.every(([value, label]) => isText(value) && isText(label))
  if (entries.length === 0 || !isGood)
    check.refuse(
      'choices',
      'is no list of texts',
      "give a list, or values with names for people, such as { eu: 'Europe' }",
    )
  return (entries as [string, string][]).map(([value, label]) => ({ value, label }))
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

/** One that matches a whole value, however it was written: `/eu|europe/` would stop at the first that fits. */
function checkedPattern(pattern: RegExp | undefined, check: OptionChecks): RegExp | undefined {
  if (pattern === undefined) return undefined
  if (!(pattern instanceof RegExp))
    check.refuse('pattern', 'is not a regular expression', 'give one, such as /[a-z]+/')
  // With "g" and "y" it would remember where it was, and with "m" a line would be enough.
  return new RegExp(`^(?:${pattern.source})$`, pattern.flags.replaceAll(/[gym]/g, ''))
}
