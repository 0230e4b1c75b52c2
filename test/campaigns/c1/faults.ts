/**
 * Everything that goes wrong at an endpoint, and what the documentation makes of it. A row says what kind of failure it
 * is; what follows from that at each operation stands with the operation.
 */
import { gzipSync } from 'node:zlib'
import { empty, hang, html, json, redirect, reset, type Answer } from '../../support/faulty-server/answer.js'
import type { Provider } from '../../support/faulty-server/provider.js'
import type { FrontManner } from '../support/front.js'
import type { OperationName, Outcome } from './operations.js'

/**
 * `lost`: no whole answer came, and nobody knows what the server did. `away`: 5xx and 429. `unusable`: an answer that is
 * none. `refused`: the server said no in the words of RFC 6749 §5.2. `good`: nothing to complain about.
 */
export type Kind = 'lost' | 'away' | 'unusable' | 'refused' | 'good'

export interface Fault {
  readonly name: string
  readonly kind: Kind
  readonly does: Deed
  /** Only there; everywhere when it is left out. */
  readonly only?: readonly OperationName[]
  /** Seconds that the server asks to wait. */
  readonly retryAfter?: string
  /** Whether the application leaves the server alone afterwards, whoever asks. */
  readonly lasts?: true
  /** What differs from its kind, by operation. */
  readonly but?: Readonly<Partial<Record<OperationName, { kind?: Kind; outcome?: Partial<Outcome> }>>>
}

export type Deed =
  { readonly answer: FaultyAnswer } | { readonly front: FrontManner } | { readonly unresolved: true }

/** `response` is what a correct server would answer; nothing at the revocation endpoint. */
export type FaultyAnswer = (op: Provider, response: Readonly<Record<string, unknown>>) => Answer

/** Where tokens are issued. */
const grants = ['code exchange', 'refresh', 'client credentials'] as const
/** Where the answer is JSON. At the revocation endpoint its status says all, and the body is ignored (RFC 7009 §2.2). */
const ignored = { revocation: { kind: 'good' } } as const

const bytes = 50_000_000

const transport: readonly Fault[] = [
  // The server has seen nothing of these.
  { name: 'connection refused', kind: 'lost', does: { front: 'refuses' }, but: unseen(0, 0) },
  { name: 'name not resolved', kind: 'lost', does: { unresolved: true }, but: unseen(0, 0) },
  { name: 'reset before the request', kind: 'lost', does: { front: 'resets' } },
  // It has seen these, and may have done what it was asked for.
  { name: 'reset after the request', kind: 'lost', does: { answer: () => reset() } },
  { name: 'never answered', kind: 'lost', does: { answer: () => hang() } },
  { name: 'headers and no body', kind: 'lost', does: { answer: () => headersOnly } },
  { name: 'a byte now and then', kind: 'lost', does: { answer: (_op, response) => trickle(response) } },
  {
    name: 'half a body, then reset',
    kind: 'lost',
    does: { answer: (_op, response) => half(response, 'reset') },
  },
  {
    name: 'half a body, then the end',
    kind: 'lost',
    does: { answer: (_op, response) => half(response, 'end') },
  },
]

const statuses: readonly Fault[] = [500, 502, 503, 429].flatMap((status): Fault[] => [
  {
    name: `${status}`,
    kind: 'away',
    ...lasting(status),
    does: { answer: () => html('<h1>Oops</h1>', status) },
  },
  {
    name: `${status} with Retry-After`,
    kind: 'away',
    ...lasting(status),
    retryAfter: '30',
    does: { answer: () => json({ error: 'temporarily_unavailable' }, status, { 'retry-after': '30' }) },
  },
])

/** A limit holds for the application, and not for one session. */
function lasting(status: number): Pick<Fault, 'lasts'> {
  return status === 429 ? { lasts: true } : {}
}

const redirects: readonly Fault[] = [301, 302, 303, 307, 308].map((status) => ({
  name: `${status} to another origin`,
  kind: 'unusable',
  does: { answer: (op) => redirect(`${op.elsewhere}/token`, status) },
}))

const bodies: readonly Fault[] = [
  { name: 'HTML', kind: 'unusable', does: { answer: () => html('<h1>Please sign in</h1>') }, but: ignored },
  { name: 'nothing', kind: 'unusable', does: { answer: () => empty(200) }, but: ignored },
  { name: 'invalid JSON', kind: 'unusable', does: { answer: () => typed('{"access_token":') }, but: ignored },
  {
    name: 'invalid UTF-8', // RFC 8259 §8.1
    kind: 'unusable',
    does: { answer: invalidUtf8 },
    but: ignored,
  },
  { name: 'an array', kind: 'unusable', does: { answer: (_op, response) => json([response]) }, but: ignored },
  { name: 'null', kind: 'unusable', does: { answer: () => json(null) }, but: ignored },
  // RFC 8259 §8.1: a parser may look past it.
  {
    name: 'a byte order mark',
    kind: 'good',
    does: { answer: (_op, response) => typed(`\ufeff${JSON.stringify(response)}`) },
  },
  {
    name: 'JSON as text/plain', // RFC 6749 §5.1, OpenID Connect Core §5.3.2
    kind: 'unusable',
    does: { answer: (_op, response) => typed(JSON.stringify(response), 'text/plain') },
    but: ignored,
  },
  { name: '50 MB', kind: 'unusable', does: { answer: (_op, response) => huge(response) } },
  { name: '50 MB in gzip', kind: 'unusable', does: { answer: () => bomb } },
]

const tokenFields: readonly Fault[] = [
  ...without('access_token', 'token_type'),
  field('access_token', '', 'unusable'),
  field('access_token', 7, 'unusable'),
  field('access_token', 'a\r\nx-injected: yes', 'unusable'), // RFC 6750 §2.1
  field('token_type', 'mac', 'unusable'), // RFC 6749 §7.1
  field('token_type', 'DPoP', 'unusable'),
  field('token_type', 'bEARER', 'good'), // RFC 6749 §5.1: not case-sensitive
  field('expires_in', '3600', 'good'), // some servers write it as text
  field('expires_in', -1, 'unusable'),
  field('expires_in', 'soon', 'unusable'),
  field('expires_in', 1e300, 'good'),
  { ...field('expires_in', undefined, 'good'), name: 'no expires_in' }, // RFC 6749 §5.1: recommended, not required
  scoped('narrower scope', 'openid'), // RFC 6749 §3.3: the server's word
  scoped('wider scope', 'openid profile admin'),
  field('refresh_token', 'a\r\nb', 'unusable'),
  {
    name: '200 with an error',
    kind: 'unusable',
    only: grants,
    does: { answer: () => json({ error: 'invalid_grant' }) },
  },
]

const refusals: readonly Fault[] = [
  {
    name: 'invalid_grant',
    kind: 'refused',
    only: grants,
    does: { answer: () => json({ error: 'invalid_grant' }, 400) },
    but: {
      'code exchange': { outcome: { code: 'invalid_grant' } },
      'client credentials': { outcome: { code: 'invalid_grant' } },
    },
  },
  {
    name: 'a nonce for DPoP, again and again', // RFC 9449 §8; this client makes no proofs
    kind: 'refused',
    only: grants,
    does: { answer: () => json({ error: 'use_dpop_nonce' }, 400, { 'dpop-nonce': 'next' }) },
    but: { refresh: { outcome: { code: 'server_refused', status: 400, session: 'kept' } } },
  },
  {
    name: 'invalid_client', // our own mistake, for which nobody is signed out
    kind: 'refused',
    only: [...grants, 'revocation', 'introspection'],
    does: { answer: () => json({ error: 'invalid_client' }, 401, { 'www-authenticate': 'Basic' }) },
    but: {
      'code exchange': { outcome: { code: 'invalid_client', status: 500 } },
      'client credentials': { outcome: { code: 'invalid_client', status: 500 } },
      refresh: { outcome: { code: 'invalid_client', status: 500, session: 'kept' } },
      revocation: { outcome: { code: 'invalid_client' } },
      introspection: { outcome: { code: 'invalid_client', status: 500 } },
    },
  },
  {
    name: 'unsupported_token_type', // RFC 7009 §2.2.1: of access tokens, which end with the refresh token
    kind: 'good',
    only: ['revocation'],
    does: { answer: () => json({ error: 'unsupported_token_type' }, 400) },
  },
]

const profiles: readonly Fault[] = [
  {
    name: 'another sub', // OpenID Connect Core §5.3.2
    kind: 'unusable',
    only: ['userinfo'],
    does: { answer: (_op, claims) => json({ ...claims, sub: 'somebody-else' }) },
    but: { userinfo: { outcome: { code: 'subject_mismatch', status: 400 } } },
  },
  ...[undefined, '', 7].map((sub): Fault => ({
    name: sub === undefined ? 'no sub' : `sub ${JSON.stringify(sub)}`,
    kind: 'unusable',
    only: ['userinfo'],
    does: { answer: (_op, claims) => json({ ...claims, sub }) },
  })),
  {
    name: 'invalid_token',
    kind: 'unusable',
    only: ['userinfo'],
    does: {
      answer: () =>
        json({ error: 'invalid_token' }, 401, { 'www-authenticate': 'Bearer error="invalid_token"' }),
    },
  },
]

const introspections: readonly Fault[] = [
  ...[false, 'true', 1, null, undefined].map((active) => said({ active }, 'refused')), // RFC 7662 §2.2: a boolean
  said({ iss: 'https://other.example' }, 'refused'),
  said({ aud: 'https://other.example' }, 'refused'),
  said({ exp: 1 }, 'refused'),
  said({ token_type: 'DPoP' }, 'refused'),
  said({ exp: undefined }, 'good'),
  {
    name: 'a signed answer', // RFC 9701, which is not asked for
    kind: 'unusable',
    only: ['introspection'],
    does: { answer: () => typed('e30.e30.e30', 'application/token-introspection+jwt') },
  },
  {
    name: 'invalid_request', // about our request, and not about the token
    kind: 'refused',
    only: ['introspection'],
    does: { answer: () => json({ error: 'invalid_request' }, 400) },
    but: { introspection: { outcome: { code: 'server_refused', status: 500 } } },
  },
]

export const faults: readonly Fault[] = [
  ...transport,
  ...statuses,
  ...redirects,
  ...bodies,
  ...tokenFields,
  ...refusals,
  ...profiles,
  ...introspections,
]

/** How many requests the server sees when none of them gets through. */
function unseen(once: number, twice: number): NonNullable<Fault['but']> {
  return {
    'code exchange': { outcome: { requests: once } },
    refresh: { outcome: { requests: twice } },
    revocation: { outcome: { requests: once } },
    'client credentials': { outcome: { requests: once } },
    introspection: { outcome: { requests: once } },
    userinfo: { outcome: { requests: once } },
  }
}

function without(...names: readonly string[]): Fault[] {
  return names.map((name) => ({ ...field(name, undefined, 'unusable'), name: `no ${name}` }))
}

function field(name: string, value: unknown, kind: Kind): Fault {
  return {
    name: `${name} ${JSON.stringify(value)}`,
    kind,
    only: grants,
    does: { answer: (_op, response) => json({ ...response, [name]: value }) },
  }
}

function said(changes: Readonly<Record<string, unknown>>, kind: Kind): Fault {
  return {
    name: Object.entries(changes)
      .map(([name, value]) => (value === undefined ? `no ${name}` : `${name} ${JSON.stringify(value)}`))
      .join(),
    kind,
    only: ['introspection'],
    does: { answer: (_op, response) => json({ ...response, ...changes }) },
  }
}

function scoped(name: string, scope: string): Fault {
  const outcome = { scope }
  return {
    name,
    kind: 'good',
    only: grants,
    does: { answer: (_op, response) => json({ ...response, scope }) },
    but: { 'code exchange': { outcome }, refresh: { outcome } },
  }
}

function typed(body: string, type = 'application/json'): Answer {
  return { status: 200, headers: { 'content-type': type }, body }
}

function invalidUtf8(_op: Provider, response: Readonly<Record<string, unknown>>): Answer {
  const body = Buffer.concat([
    Buffer.from(JSON.stringify(response).replace(/\}$/, ',"name":"')),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('"}'),
  ])
  return { status: 200, headers: { 'content-type': 'application/json' }, body }
}

const headersOnly: Answer = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' }).flushHeaders()
}

/** Each byte comes long before the deadline, and the last long after it. */
function trickle(body: Readonly<Record<string, unknown>>): Answer {
  return (response) => {
    const text = JSON.stringify(body)
    response.writeHead(200, { 'content-type': 'application/json' })
    let sent = 0
    const timer = setInterval(() => {
      response.write(text.charAt(sent))
      sent += 1
    }, 100)
    response.on('close', () => clearInterval(timer))
  }
}

function half(body: Readonly<Record<string, unknown>>, then: 'reset' | 'end'): Answer {
  return (response) => {
    const text = JSON.stringify({ ...body, padding: 'x'.repeat(100) })
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': String(text.length) })
    response.write(text.slice(0, text.length / 2), () => {
      if (then === 'reset') response.socket?.resetAndDestroy()
      else response.socket?.end()
    })
  }
}

/** Good JSON, if one were to read on; no more of it is made than is taken. */
function huge(body: Readonly<Record<string, unknown>>): Answer {
  return (response) => {
    const chunk = 'x'.repeat(100_000)
    let left = bytes
    const more = () => {
      while (left > 0 && !response.destroyed) {
        left -= chunk.length
        if (!response.write(chunk)) return
      }
      if (left <= 0) response.end('"}')
    }
    response.writeHead(200, { 'content-type': 'application/json' }).on('drain', more)
    response.write(JSON.stringify({ ...body, padding: '' }).slice(0, -2))
    more()
  }
}

const bomb: Answer = {
  status: 200,
  headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
  body: gzipSync(
    JSON.stringify({ access_token: 'a', token_type: 'Bearer', sub: 'a', padding: 'x'.repeat(bytes) }),
  ),
}
