/** URLs with places for the fields of a connection, such as `https://{region}.service.example/`. */

import { OAuthError } from '../errors.js'

/** The values of a connection's fields, by name. */
export type FieldValues = Readonly<Record<string, string>>

/** Whether the app lists all values of a field. */
export type IsFixed = (field: string) => boolean

const place = /\{([^{}]*)\}/g

/** The names of the fields that a URL has places for. */
export function placesIn(template: string): string[] {
  return [...template.matchAll(place)].map(([, name = '']) => name)
}

/** What is wrong with a template and what to do, or nothing. */
export function templateProblem(
  template: string,
  isFixed: IsFixed,
): { problem: string; advice: string } | undefined {
  if (!/[{}]/.test(template)) return undefined
  const [, host = '', path = '', rest = ''] = /^https?:\/\/([^/?#]*)([^?#]*)(.*)$/s.exec(template) ?? []
  if (host.includes('@'))
    return {
      problem: 'has a user name or password in it',
      advice: 'remove what stands before the "@"',
    }
  const refuse = (advice: string) => ({ problem: `is "${template}"`, advice })
  if (host === '' || /[{}]/.test(rest + withoutPlaces(host + path)))
    return refuse('fields can stand in the host name and in the path of a URL, as in "{region}"')
  const domain = host.replace(/:\d+$/, '')
  if (placesIn(host).length > 0 && !/^[a-z0-9.-]*$/.test(withoutPlaces(domain)))
    return refuse('write the host name in small letters, and a port as a number')
  // Whoever may write the end of a host name may write any host name.
  if (placesIn(domain.split('.').slice(-2).join('.')).some((field) => !isFixed(field)))
    return refuse(
      'give the domain itself, such as "https://{region}.service.example/", or the field its "choices"',
    )
  if (placesIn(host).length > 0 && /\.\d+$/.test(domain))
    return refuse('give the name of a domain: a field cannot be part of an IP address')
  const segments = path.split('/').filter((segment) => placesIn(segment).length > 0)
  if (segments.some((segment) => withoutPlaces(segment) !== '' || placesIn(segment).length > 1))
    return refuse('a field in the path stands for a whole segment')
  return undefined
}

function withoutPlaces(text: string): string {
  return text.replace(place, '')
}

/**
 * The URL with its places filled. What goes into the host is part of a DNS name, what goes into the path is one segment.
 * Throws `invalid_fields` for anything else. The template has been judged by {@link templateProblem}.
 */
export function filled(template: string, fields: FieldValues, isFixed: IsFixed): string {
  if (!template.includes('{')) return template
  const [, scheme = '', host = '', rest = ''] = /^(\w+:\/\/)([^/?#:]*)(.*)$/s.exec(template) ?? []
  const labels = host.split('.').map((label) => {
    const mayBeSeveral = placesIn(label).every(isFixed)
    return fill(label, fields, mayBeSeveral ? isDomain : isLabel, hostAdvice)
  })
  const path = rest.split('/').map((segment) => fill(segment, fields, isSegment, segmentAdvice))
  return `${scheme}${labels.join('.')}${path.join('/')}`
}

const hostAdvice = 'This can have small letters, digits and "-", and is part of an address.'
const segmentAdvice = 'This can have letters, digits, "-", "_", "~" and ".", and is part of an address.'

/** What is between two dots or slashes, judged as a whole: two harmless values can make something else together. */
function fill(part: string, fields: FieldValues, isPlain: (text: string) => boolean, advice: string): string {
  const names = placesIn(part)
  if (names.length === 0) return part
  const refuse = (problem: string): never => {
    throw new OAuthError('invalid_fields', {
      fields: Object.fromEntries(names.map((name) => [name, problem])),
    })
  }
  const text = part.replace(place, (_place, name: string) =>
    Object.hasOwn(fields, name) && fields[name] !== undefined ? fields[name] : refuse('This is missing.'),
  )
  return isPlain(text) ? text : refuse(advice)
}

/** A part between two dots (RFC 1123 §2.1), in the one spelling that it has, and in no foreign script (RFC 5890 §2.3.1). */
function isLabel(text: string): boolean {
  return /^(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text)
}

/** What an app has listed may have dots, as in `com.au`. */
function isDomain(text: string): boolean {
  return text.split('.').every(isLabel)
}

function isSegment(text: string): boolean {
  return /^[\w~-][\w.~-]{0,199}$/.test(text)
}
