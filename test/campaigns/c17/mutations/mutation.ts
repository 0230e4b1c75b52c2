/** One way in which a token can differ from a good one. */
import type { Random } from '../../support/campaign.js'
import { setMember, type Draft, type Segment } from '../draft.js'

export interface Mutation {
  readonly name: string
  /** What chance has to decide comes from `random`. */
  apply(draft: Draft, random: Random): void
}

export function pick<T>(values: readonly T[], random: Random): T {
  return values[Math.floor(random() * values.length)]!
}

/** A member with another value, or none. */
export function withMember(
  where: 'header' | 'claims',
  name: string,
  json: string | undefined,
  more: (draft: Draft) => void = () => undefined,
): Mutation {
  return {
    name: `${where}: ${name} ${json === undefined ? 'left out' : `is ${shortened(json)}`}`,
    apply(draft) {
      setMember(draft[where], name, json)
      more(draft)
    },
  }
}

/** A member twice: beside the good one, which comes first or last. */
export function withTwin(where: 'header' | 'claims', name: string, json: string): Mutation[] {
  return (['first', 'last'] as const).map((place) => ({
    name: `${where}: ${name} twice, ${shortened(json)} ${place}`,
    apply: ({ [where]: { members } }) => {
      if (place === 'first') members.unshift([name, json])
      else members.push([name, json])
    },
  }))
}

/** JSON that is not quite JSON, or not what it should be an object of. */
export function withOtherText(where: 'header' | 'claims'): Mutation[] {
  const changes: [string, (json: string) => Buffer][] = [
    ['a byte order mark before it', (json) => Buffer.from(`\uFEFF${json}`)],
    ['white space around it', (json) => Buffer.from(` \n${json}\t `)],
    ['a line end after each member', (json) => Buffer.from(json.replaceAll(',"', ',\n"'))],
    ['something after it', (json) => Buffer.from(`${json}x`)],
    ['a second object after it', (json) => Buffer.from(json + json)],
    ['a comma at its end', (json) => Buffer.from(json.replace(/\}$/, ',}'))],
    ['a comment in it', (json) => Buffer.from(json.replace('{', '{/**/'))],
    ['single quotes', (json) => Buffer.from(json.replaceAll('"', "'"))],
    ['an array around it', (json) => Buffer.from(`[${json}]`)],
    ['a string around it', (json) => Buffer.from(JSON.stringify(json))],
    ['null', () => Buffer.from('null')],
    ['a number', () => Buffer.from('1')],
    ['true', () => Buffer.from('true')],
    ['nothing', () => Buffer.alloc(0)],
    ['an empty object', () => Buffer.from('{}')],
    ['a NUL at its end', (json) => Buffer.from(`${json}\0`)],
    ['UTF-16', (json) => Buffer.from(json, 'utf16le')],
    ['a byte that is no UTF-8', (json) => changedText(json, Buffer.from([0xff]))],
    ['half a character', (json) => changedText(json, Buffer.from([0xe2, 0x82]))],
    ['a character in more bytes than it needs', (json) => changedText(json, Buffer.from([0xc0, 0xaf]))],
    ['half a surrogate pair, escaped', (json) => changedText(json, Buffer.from('\\ud800'))],
    ['a control character', (json) => changedText(json, Buffer.from([0x01]))],
  ]
  return changes.map(([name, bytes]) => ({
    name: `${where}: ${name}`,
    apply: ({ [where]: segment }) => void (segment.bytes = bytes),
  }))
}

/** Into a member that nobody looks at. */
function changedText(json: string, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(json.slice(0, -1)), Buffer.from(',"x":"'), bytes, Buffer.from('"}')])
}

/** Encodings that a server might take for base64url; it signs what it wrote. */
export function withOtherEncoding(where: 'header' | 'claims'): Mutation[] {
  const changes: [string, Segment['encode']][] = [
    ['base64 with padding', (bytes) => bytes.toString('base64')],
    ['base64 without padding', (bytes) => bytes.toString('base64').replace(/=+$/, '')],
    ['base64url with padding', (bytes) => padded(bytes.toString('base64url'))],
    ['bits at the end that say nothing', (bytes) => withSpareBits(bytes.toString('base64url'))],
    ['a line end in it', (bytes) => lineEnd(bytes.toString('base64url'))],
    ['a blank at its end', (bytes) => `${bytes.toString('base64url')} `],
    ['hex', (bytes) => bytes.toString('hex')],
    ['percent encoding', (bytes) => encodeURIComponent(padded(bytes.toString('base64url')))],
    ['no encoding', (bytes) => bytes.toString()],
  ]
  return changes.map(([name, encode]) => ({
    name: `${where}: ${name}, signed so`,
    apply: ({ [where]: segment }) => void (segment.encode = encode),
  }))
}

export function padded(base64url: string): string {
  return base64url.padEnd(Math.ceil(base64url.length / 4) * 4, '=')
}

/** Another last character for the same bytes, where there is one. */
export function withSpareBits(base64url: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  if (base64url.length % 4 < 2) return base64url
  return base64url.slice(0, -1) + alphabet[alphabet.indexOf(base64url.at(-1) ?? '') + 1]
}

function lineEnd(text: string): string {
  return `${text.slice(0, 8)}\n${text.slice(8)}`
}

function shortened(json: string): string {
  return json.length > 60 ? `${json.slice(0, 50)}… (${json.length} characters)` : json
}
