/** Faults of the introspection endpoint: answers that say nothing good of a token, and answers that are none. */
import { empty, hang, html, json, redirect, reset } from '../answer.js'
import { introspectionResponse } from '../introspection.js'
import type { Steps } from '../provider.js'

/** Twice what a client should read. */
const hugeBody = 2 * 1024 * 1024

export const introspectionFaults = {
  'introspection-inactive': withChanges({ active: false }),
  'introspection-active-text': withChanges({ active: 'true' }),
  'introspection-active-one': withChanges({ active: 1 }),
  'introspection-active-null': withChanges({ active: null }),
  'introspection-active-list': withChanges({ active: [true] }),
  'introspection-active-absent': withChanges({ active: undefined }),
  'introspection-empty-object': { answerIntrospection: () => json({}) },
  'introspection-array': { answerIntrospection: (_op, response) => json([response]) },
  'introspection-null': { answerIntrospection: () => json(null) },
  'introspection-true': { answerIntrospection: () => json(true) },
  'introspection-200-error': { answerIntrospection: () => json({ error: 'temporarily_unavailable' }) },
  'introspection-empty-200': { answerIntrospection: () => empty(200) },
  'introspection-html': { answerIntrospection: () => html('<h1>Please sign in</h1>') },
  'introspection-half-json': {
    answerIntrospection: () => ({ ...json({}), body: '{"active":tr' }),
  },
  'introspection-jwt': {
    answerIntrospection: (op, response) => ({
      status: 200,
      headers: { 'content-type': 'application/token-introspection+jwt' },
      // Without the signature, and with all that openid-client looks at.
      body: `${segment({ alg: 'RS256', typ: 'token-introspection+jwt' })}.${segment({
        iss: op.issuer,
        aud: op.client.id,
        iat: Math.floor(Date.now() / 1000),
        token_introspection: response,
      })}.${segment('signed by nobody')}`,
    }),
  },
  'introspection-redirect': { answerIntrospection: (op) => redirect(`${op.elsewhere}/introspect`, 307) },
  'introspection-huge': {
    answerIntrospection: (_op, response) => json({ ...response, padding: 'x'.repeat(hugeBody) }),
  },
  'introspection-hang': { answerIntrospection: () => hang() },
  'introspection-reset': { answerIntrospection: () => reset() },
  'introspection-404': { answerIntrospection: () => html('<h1>Not Found</h1>', 404) },
  'introspection-500': { answerIntrospection: () => html('<h1>Internal Server Error</h1>', 500) },
  'introspection-503': {
    answerIntrospection: () => json({ error: 'temporarily_unavailable' }, 503, { 'retry-after': '30' }),
  },
  'introspection-429': {
    answerIntrospection: () => json({ error: 'slow_down' }, 429, { 'retry-after': '7' }),
  },
  'introspection-invalid-client': withError('invalid_client', 401),
  'introspection-bare-401': {
    answerIntrospection: () => ({ ...empty(401), headers: { 'www-authenticate': 'Basic realm="op"' } }),
  },
  'introspection-invalid-token-401': withError('invalid_token', 401),
  'introspection-invalid-request': withError('invalid_request', 400),
  'introspection-insufficient-scope': withError('insufficient_scope', 403),
  'introspection-unsupported-token-type': withError('unsupported_token_type', 400),
  'introspection-server-error': withError('server_error', 400),
} satisfies Record<string, Partial<Steps>>

function withChanges(changes: Record<string, unknown>): Pick<Steps, 'introspection'> {
  return {
    introspection: (op, authorization, token) => ({
      ...introspectionResponse(op, authorization, token),
      ...changes,
    }),
  }
}

/** The description quotes what the client sent, as careless servers do. */
function withError(error: string, status: number): Pick<Steps, 'answerIntrospection'> {
  return {
    answerIntrospection: (op) => {
      const token = op.requests.at(-1)?.body.get('token')
      return json({ error, error_description: `refused ${token}` }, status)
    },
  }
}

function segment(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
