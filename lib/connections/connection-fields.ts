/** What is asked of the user before an account is connected, such as the region that it is in. */

import { OAuthError } from '../errors.js'
import type { OptionChecks } from '../options.js'
import type { FieldValues } from './url-template.js'

export interface ConnectionField {
  /** What the field is called on a page. */
  readonly label: string
  /** Whether it must have a value. Default true. */
  readonly required?: boolean
  /** The values that are possible; those of an object have a name for people: `{ eu: 'Europe', us: 'America' }`. */
  readonly choices?: readonly string[] | Readonly<Record<string, string>>
  /** What a whole value must match. Default: anything of 200 characters at most. */
  readonly pattern?: RegExp
  /** The value when there is none. */
  readonly default?: string
  /** A sentence that helps to fill it in. */
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
  /** The values of what somebody sent, and nothing else of it. Throws `invalid_fields`, with a word on each. */
  read(sent: Readonly<Record<string, unknown>>): FieldValues
  /** Values that are possible, to try a template with. */
  readonly sample: FieldValues
  has(name: string): boolean
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
  if (fields !== undefined && (fields === null || typeof fields !== 'object' || Array.isArray(fields)))
    check.refuse('fields', 'is not an object', 'give names and what they stand for')
  const all = Object.entries(fields ?? {}).map(([name, field]) => ({
    asked: checkedField(name, field, check),
    pattern: field.pattern && new RegExp(field.pattern.source, field.pattern.flags.replace(/[gy]/g, '')),
  }))
  const find = (name: string) => all.find(({ asked }) => asked.name === name)

  function valueOf({ asked, pattern }: (typeof all)[number], sent: unknown): string | undefined {
    const text = typeof sent === 'string' ? sent.trim() : sent === undefined || sent === null ? '' : undefined
    if (text === '') {
      if (asked.default !== undefined) return asked.default
      if (asked.required) throw new FieldProblem(`${asked.label} is missing.`)
      return undefined
    }
    if (text === undefined || text.length > longestValue || /\p{Cc}/u.test(text))
      throw new FieldProblem(`${asked.label} must be one line of at most ${longestValue} characters.`)
    if (asked.choices && !asked.choices.some(({ value }) => value === text))
      throw new FieldProblem(
        `${asked.label} must be one of ${asked.choices.map(({ label }) => label).join(', ')}.`,
      )
    if (pattern && pattern.exec(text)?.[0] !== text)
      throw new FieldProblem(
        `${asked.label} does not look right.${asked.help === undefined ? '' : ` ${asked.help}`}`,
      )
    return text
  }

  return {
    asked: all.map(({ asked }) => asked),
    read(sent) {
      const values: Record<string, string> = {}
      const problems: Record<string, string> = {}
      for (const field of all) {
        const { name } = field.asked
        try {
          const value = valueOf(field, Object.hasOwn(sent, name) ? sent[name] : undefined)
          if (value !== undefined) values[name] = value
        } catch (error) {
          if (!(error instanceof FieldProblem)) throw error
          problems[name] = error.message
        }
      }
      if (Object.keys(problems).length === 0) return values
      throw new OAuthError('invalid_fields', { fields: problems })
    },
    sample: Object.fromEntries(
      all.map(({ asked }) => [asked.name, asked.default ?? asked.choices?.[0]?.value ?? 'example']),
    ),
    has: (name) => find(name) !== undefined,
    isFixed: (name) => find(name)?.asked.choices !== undefined,
    isAlwaysThere(name) {
      const asked = find(name)?.asked
      return asked !== undefined && (asked.required || asked.default !== undefined)
    },
  }
}

function checkedField(name: string, field: ConnectionField, check: OptionChecks): AskedField {
  if (!/^[a-z][a-z0-9_]{0,39}$/i.test(name) || reserved.includes(name))
    check.refuse(
      `fields.${name}`,
      'has a name that cannot be',
      'use letters, digits and "_", and another name',
    )
  const within = check.within(`fields.${name}`, field, known)
  const { choices, pattern, help } = field
  within.string('label', field.label, 'say what it is called on a page')
  if (pattern !== undefined && !(pattern instanceof RegExp))
    within.refuse('pattern', 'is not a regular expression', 'give one, such as /[a-z]+/')
  const list = Array.isArray(choices)
    ? choices.map((value: unknown) => [value, value])
    : Object.entries(choices ?? {})
  if (
    choices !== undefined &&
    (list.length === 0 || list.flat().some((text) => typeof text !== 'string' || text === ''))
  )
    within.refuse('choices', 'is no list of texts', 'give a list, or values and their names')
  const options = (list as [string, string][]).map(([value, label]) => ({ value, label }))
  const byDefault = field.default
  if (byDefault !== undefined && choices !== undefined && !options.some(({ value }) => value === byDefault))
    within.refuse('default', `is "${byDefault}"`, 'give one of the choices')
  return {
    name,
    label: field.label,
    required: field.required === undefined ? true : within.boolean('required', field.required),
    ...(choices !== undefined && { choices: options }),
    ...(byDefault !== undefined && { default: within.string('default', byDefault, 'give a text') }),
    ...(help !== undefined && { help: within.string('help', help, 'give a sentence') }),
  }
}

/** Names that a form uses for something else. */
const reserved = ['csrf_token', 'return_to', 'constructor', 'prototype']

class FieldProblem extends Error {
  override readonly name = 'FieldProblem'
}
