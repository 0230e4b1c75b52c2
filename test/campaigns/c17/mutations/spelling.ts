/** Other spellings of a whole token, and other things made of its parts (RFC 7515 §7, RFC 4648 §3). */
import { newDraft, tokenOf, type Draft } from '../draft.js'
import { padded, pick, withSpareBits, type Mutation } from './mutation.js'

type Change = (token: string, random: () => number) => string

/** Of one of the three parts, each in turn. */
const ofPart: [string, Change][] = [
  ['padded', padded],
  ['with one padding character', (part) => `${part}=`],
  ['with two padding characters', (part) => `${part}==`],
  ['with a padding character before it', (part) => `=${part}`],
  ['with bits at the end that say nothing', withSpareBits],
  ['in standard base64', (part) => Buffer.from(part, 'base64url').toString('base64')],
  ['in the other alphabet', (part) => part.replaceAll('-', '+').replaceAll('_', '/')],
  ['with a blank after it', (part) => `${part} `],
  ['with a blank before it', (part) => ` ${part}`],
  ['with a blank in it', (part, random) => inserted(part, ' ', random)],
  ['with a line end in it', (part, random) => inserted(part, '\n', random)],
  ['with a tab in it', (part, random) => inserted(part, '\t', random)],
  ['with a NUL in it', (part, random) => inserted(part, '\0', random)],
  ['with a no-break space in it', (part, random) => inserted(part, '\u00A0', random)],
  ['with a character of no alphabet in it', (part, random) => inserted(part, '!', random)],
  ['with a byte order mark before it', (part) => `\uFEFF${part}`],
  ['with a character more', (part) => `${part}A`],
  ['with a character less', (part) => part.slice(0, -1)],
  ['with a character changed', changedCharacter],
  ['with two characters exchanged', exchangedCharacters],
  ['in percent encoding', (part) => part.replaceAll(/[^]/g, (one) => `%${hexOf(one)}`)],
  ['with one character in percent encoding', (part) => `%${hexOf(part[0] ?? 'A')}${part.slice(1)}`],
  ['in lower case', (part) => part.toLowerCase()],
  [
    'in full width',
    (part) => part.replace(/[A-Z]/, (one) => String.fromCharCode(one.charCodeAt(0) + 0xfee0)),
  ],
  ['empty', () => ''],
  ['twice', (part) => part + part],
  ['in hex', (part) => Buffer.from(part, 'base64url').toString('hex')],
  ['encoded once more', (part) => Buffer.from(part).toString('base64url')],
]

const parts = ['header', 'claims', 'signature'] as const

function spelledParts(): Mutation[] {
  return ofPart.flatMap(([name, change]) =>
    parts.map((part, place) => ({
      name: `spelling: ${part} ${name}`,
      apply: ({ compact }: Draft, random: () => number) =>
        void compact.push((token) =>
          token
            .split('.')
            .map((one, index) => (index === place ? change(one, random) : one))
            .join('.'),
        ),
    })),
  )
}

const ofWhole: [string, Change][] = [
  ['empty', () => ''],
  ['one dot', () => '.'],
  ['two dots', () => '..'],
  ['three dots', () => '...'],
  ['four thousand dots', () => '.'.repeat(4_000)],
  ['a dot after it', (token) => `${token}.`],
  ['a dot before it', (token) => `.${token}`],
  ['a part after it', (token) => `${token}.AAAA`],
  ['a part before it', (token) => `AAAA.${token}`],
  ['five parts', (token) => `${token}.AAAA.AAAA`],
  ['a dot in its claims', (token) => token.replace(/\.(....)/, '.$1.')],
  ['two dots for one', (token) => token.replace('.', '..')],
  ['dots in percent encoding', (token) => token.replaceAll('.', '%2E')],
  ['dots of another script', (token) => token.replaceAll('.', '。')],
  ['commas for dots', (token) => token.replaceAll('.', ',')],
  ['without its header', (token) => token.split('.').slice(1).join('.')],
  ['without its claims', (token) => ofParts(token, ([header, , signature]) => [header, '', signature])],
  ['without its signature and its dot', (token) => token.split('.').slice(0, 2).join('.')],
  ['backwards', (token) => token.split('.').toReversed().join('.')],
  ['header and claims exchanged', (token) => ofParts(token, ([one, two, three]) => [two, one, three])],
  ['the header for the claims', (token) => ofParts(token, ([one, , three]) => [one, one, three])],
  ['in quotes', (token) => `"${token}"`],
  ['blanks around it', (token) => ` ${token} `],
  ['a tab after it', (token) => `${token}\t`],
  ['a line end after it', (token) => `${token}\n`],
  ['with its scheme', (token) => `Bearer ${token}`],
  ['twice with a comma', (token) => `${token},${token}`],
  ['twice with a blank', (token) => `${token} ${token}`],
  ['a word after it', (token) => `${token} x`],
  [
    'JSON, general',
    (token) => JSON.stringify({ payload: partOf(token, 1), signatures: [signatureOf(token)] }),
  ],
  ['JSON, flattened', (token) => JSON.stringify({ payload: partOf(token, 1), ...signatureOf(token) })],
  ['base64url of it', (token) => Buffer.from(token).toString('base64url')],
  ['unsecured around it', (token) => `${encoded('{"alg":"none"}')}.${encoded(token)}.`],
  ['in upper case', (token) => token.toUpperCase()],
  ['an opaque one', () => 'b3BhcXVlLXRva2Vu'],
]

function wholes(): Mutation[] {
  return ofWhole.map(([name, change]) => ({
    name: `structure: ${name}`,
    apply: ({ compact }, random) => void compact.push((token) => change(token, random)),
  }))
}

/** Parts of two good tokens of the same issuer. */
function crossed(): Mutation[] {
  return [1, 2, 3, 4, 5, 6].flatMap((mask) =>
    (['RS256', 'ES384', 'EdDSA'] as const).map((algorithm) => ({
      name: `structure: ${parts.filter((_, place) => (mask >> place) & 1).join(' and ')} of another ${algorithm} token`,
      apply(draft: Draft) {
        const { ring, issuer, compact } = draft
        const other = tokenOf(newDraft(ring, ring.keys[algorithm], issuer, 'at+jwt', 4_000_000_000)).split(
          '.',
        )
        compact.push((token) =>
          token
            .split('.')
            .map((part, place) => ((mask >> place) & 1 ? (other[place] ?? '') : part))
            .join('.'),
        )
      },
    })),
  )
}

/** A good token for claims, signed by the issuer once more. */
const nested: Mutation = {
  name: 'structure: a token in a token',
  apply(draft) {
    const inner = tokenOf(newDraft(draft.ring, draft.key, draft.issuer, 'at+jwt', 4_000_000_000))
    draft.claims.bytes = () => Buffer.from(inner)
  },
}

export const spellingMutations: readonly Mutation[] = [...spelledParts(), ...wholes(), ...crossed(), nested]

function ofParts(token: string, change: (parts: (string | undefined)[]) => (string | undefined)[]): string {
  return change(token.split('.')).join('.')
}

function partOf(token: string, place: number): string {
  return token.split('.')[place] ?? ''
}

function signatureOf(token: string): object {
  return { protected: partOf(token, 0), signature: partOf(token, 2) }
}

function encoded(text: string): string {
  return Buffer.from(text).toString('base64url')
}

function inserted(part: string, text: string, random: () => number): string {
  const place = Math.floor(random() * part.length)
  return part.slice(0, place) + text + part.slice(place)
}

function changedCharacter(part: string, random: () => number): string {
  const place = Math.floor(random() * part.length)
  return part.slice(0, place) + pick('AQgw-_09z'.split(''), random) + part.slice(place + 1)
}

function exchangedCharacters(part: string, random: () => number): string {
  const place = Math.floor(random() * Math.max(1, part.length - 1))
  return part.slice(0, place) + (part[place + 1] ?? '') + (part[place] ?? '') + part.slice(place + 2)
}

function hexOf(character: string): string {
  return character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')
}
