/** Recognisable secret values, and the search for them in whatever must not show them. */
import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'

/** A value that must stay hidden, and what it is; only the role is ever printed. */
export interface Secret {
  readonly role: string
  readonly value: string
}

/** A text that is searched, and where it came from. */
export interface Exposed {
  readonly where: string
  readonly text: string
  /** Roles that may stand here, such as `state` in the address of the authorization endpoint. */
  readonly allowed?: readonly string[]
}

/** Below this length a value is found by chance. */
const shortestSecret = 8

/** What every canary begins with. */
const mark = 'canary-'

/** Whether a text shows any canary, of whatever role, as it is or in base64. */
export function showsCanary(text: string): boolean {
  return [mark, ...base64Forms(mark)].some((form) => text.includes(form))
}

/** A fresh secret that names its role; the tail changes when it is URL-encoded. */
export function canary(role: string): string {
  return `${mark}${role}-${randomBytes(18).toString('base64url')}~+/`
}

/** The same without characters that have a meaning in URLs, for values that must be URL-safe. */
export function urlSafeCanary(role: string): string {
  return `${mark}${role}-${randomBytes(18).toString('base64url')}`
}

/** One line per secret found, as "role in where"; empty when nothing leaked. */
export function leaks(exposed: readonly Exposed[], secrets: readonly Secret[]): string[] {
  const sought = secrets
    .filter(({ value }) => value.length >= shortestSecret)
    .map(({ role, value }) => ({ role, forms: encodedForms(value) }))
  const found = exposed.flatMap(({ where, text, allowed = [] }) =>
    sought
      .filter(({ role, forms }) => !allowed.includes(role) && forms.some((form) => text.includes(form)))
      .map(({ role }) => `${role} in ${where}`),
  )
  return [...new Set(found)]
}

/** A value of any shape as text, with everything a logger could reach. */
export function everythingIn(value: unknown): string {
  return inspect(value, { depth: 12, showHidden: true, maxStringLength: null, maxArrayLength: null })
}

function encodedForms(value: string): string[] {
  const urlEncoded = encodeURIComponent(value)
  const formEncoded = new URLSearchParams({ v: value }).toString().slice(2)
  const hex = Buffer.from(value).toString('hex')
  const json = JSON.stringify(value).slice(1, -1)
  const html = value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
  return [...new Set([value, urlEncoded, formEncoded, hex, json, html, ...base64Forms(value)])]
}

/** Base64 shows a value in three ways, by where it begins; the characters shared with a neighbour are cut off. */
function base64Forms(value: string): string[] {
  return [0, 1, 2].flatMap((shift) => {
    const padded = Buffer.concat([Buffer.alloc(shift), Buffer.from(value)])
    const start = Math.ceil((shift * 8) / 6)
    const end = Math.floor((padded.length * 8) / 6)
    return (['base64', 'base64url'] as const).map((form) => padded.toString(form).slice(start, end))
  })
}
