/** The answers of token endpoints that do not follow the standard (RFC 6749 §5). */

import { isPromise } from '../app-answer.js'
import { isOAuthError, OAuthError } from '../errors.js'

/**
 * Makes what a server answers into what RFC 6749 §5 wants: `access_token` and `token_type`, or `error`. It is asked for
 * answers to codes and to refresh tokens alike. `answer` is the answer's JSON object, or the fields of a form, all texts;
 * what is neither is not shown to it. What it returns is judged like any other answer: with `error` it is one, whatever the
 * status was. Only the errors of RFC 6749 §5.2 end a grant or tell of a wrong secret, so give those where the server has
 * words of its own: `invalid_grant` for a refresh token that is no longer good, `invalid_client` for a wrong secret.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- like the result of JSON.parse: servers send what they like
export type TokenResponseHook = (answer: Record<string, any>, status: number) => object

/**
 * The response as the standard has it. Throws `invalid_configuration` when the function fails or gives no object, and an
 * `OAuthError` of its own as it is.
 */
export async function standardResponse(response: Response, hook: TokenResponseHook): Promise<Response> {
  const { status } = response
  const answer = answerIn(await response.clone().arrayBuffer(), response.headers.get('content-type') ?? '')
  // What cannot be read is told by its status, as from any other server.
  if (!answer) return response
  const { text, isError, isNamed } = made(hook, answer, status)
  const headers = new Headers(response.headers)
  headers.set('content-type', 'application/json')
  headers.delete('content-length')
  // An error that came with 200 refuses what its name says. A name that no specification has must not end a grant by itself.
  const errorStatus = isNamed ? 400 : 422
  return new Response(text, { status: isError && status < 400 ? errorStatus : status, headers })
}

interface Made {
  readonly text: string
  readonly isError: boolean
  readonly isNamed: boolean
}

/** RFC 6749 §5.2. */
const namedErrors = [
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
]

function made(hook: TokenResponseHook, answer: Record<string, unknown>, status: number): Made {
  let result: unknown
  let text: unknown
  try {
    result = hook(answer, status)
    text = JSON.stringify(result)
  } catch (cause) {
    if (isOAuthError(cause)) throw cause
    // What was thrown may repeat the answer, which has tokens in it.
    throw unusable('threw an error', cause instanceof Error ? cause.name : typeof cause)
  }
  if (isPromise(result)) throw unusable('gave a promise', 'promise')
  // By what is sent on: a `toJSON` may have made something else of it.
  const parsed = typeof text === 'string' ? objectIn(text) : undefined
  if (typeof text !== 'string' || !parsed) throw unusable('gave no object', 'no_object')
  const { error } = parsed
  const isError = typeof error === 'string'
  return { text, isError, isNamed: isError && namedErrors.includes(error) }
}

function unusable(what: string, reason: string): OAuthError {
  return new OAuthError('invalid_configuration', {
    message: `the function "tokenResponse" ${what}`,
    reason,
    hint: 'Return at once what RFC 6749 §5.1 wants, such as { ...answer, token_type: "Bearer" }; the answer may be an error, without any token.',
  })
}

function answerIn(body: ArrayBuffer, type: string): Record<string, unknown> | undefined {
  try {
    // Also takes the mark off that some servers begin with. What is not UTF-8 would be put right in silence.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body)
    return objectIn(text) ?? formIn(text, type)
  } catch {
    return undefined
  }
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text, withoutPrototype)
    return value !== null && typeof value === 'object' && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

/** A member of this name is made the prototype of whatever somebody copies it to. */
function withoutPrototype(name: string, value: unknown): unknown {
  return name === '__proto__' ? undefined : value
}

/** A form in which nothing comes twice (RFC 6749 §3.2), also where it is sent as plain text. */
function formIn(text: string, type: string): Record<string, unknown> | undefined {
  if (!/^(application\/x-www-form-urlencoded|text\/plain)\b/i.test(type) || !/^[^=&\s<]+=/.test(text))
    return undefined
  const fields = [...new URLSearchParams(text.trim())].filter(([name]) => name !== '__proto__')
  const isPlain = new Set(fields.map(([name]) => name)).size === fields.length
  return isPlain ? Object.fromEntries(fields) : undefined
}
