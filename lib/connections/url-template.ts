/** URLs with places for the fields of a connection, such as `https://{region}.service.example/`. */

import { OAuthError } from '../errors.js'

/** The values of a connection's fields, by name. */
export type FieldValues = Readonly<Record<string, string>>

const place = /\{([^{}]*)\}/g

/** The names of the fields that an URL has places for. */
export function placesIn(template: string): string[] {
  return [...template.matchAll(place)].map(([, name = '']) => name)
}

/** What is wrong with a template and what to do, or nothing. `isFixed` tells whether the app lists all values of a field. */
export function templateProblem(
  template: string,
  isFixed: (field: string) => boolean,
): { problem: string; advice: string } | undefined {
  const [, host = '', path = '', rest = ''] = /^https?:\/\/([^/?#]*)([^?#]*)(.*)$/s.exec(template) ?? []
  const refuse = (advice: string) => ({ problem: `is "${template}"`, advice })
  if (placesIn(rest).length > 0 || (placesIn(template).length > 0 && host === ''))
    return refuse('fields can stand in the host name and in the path of a URL')
  const free = (part: string) => placesIn(part).some((field) => !isFixed(field))
  // Whoever may write the end of a host name may write any host name.
  if (free(host.split('.').slice(-2).join('.')) || /[:@]/.test(host.replace(/:\d+$/, '')))
    return refuse(
      'give the domain itself, such as "https://{region}.service.example/", or the field its "choices"',
    )
  const segments = path.split('/').filter((segment) => placesIn(segment).length > 0)
  if (segments.some((segment) => segment.replace(place, '') !== ''))
    return refuse('a field in the path stands for a whole segment')
  return undefined
}

/**
 * The URL with its places filled. What goes into the host is part of a DNS name, what goes into the path is one segment.
 * Throws `invalid_fields` for anything else.
 */
export function filled(template: string, fields: FieldValues): string {
  const [, scheme = '', host = '', path = ''] = /^(\w+:\/\/)([^/?#]*)(.*)$/s.exec(template) ?? []
  const fill = (part: string, isPlain: (value: string) => boolean) =>
    part.replace(place, (_place, name: string) => {
      const value = Object.hasOwn(fields, name) ? fields[name] : undefined
      if (value !== undefined && isPlain(value)) return value
      throw new OAuthError('invalid_fields', {
        fields: { [name]: value === undefined ? 'This is missing.' : 'This cannot be part of an address.' },
      })
    })
  return `${scheme}${fill(host, isLabel)}${fill(path, isSegment)}`
}

/** A part between two dots (RFC 1123 §2.1), in the one spelling that it has. */
export function isLabel(value: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(value)
}

function isSegment(value: string): boolean {
  return /^[\w~-][\w.~-]{0,199}$/.test(value)
}
