/** The answers of token endpoints that do not follow the standard (RFC 6749 §5). */

import { appAnswer } from '../app-answer.js'
import { OAuthError } from '../errors.js'

/**
 * Makes what a server answers into what RFC 6749 §5 wants: `access_token` and `token_type`, or `error`. `answer` is the
 * answer's JSON object, or the fields of a form. What it returns is judged like any other answer; with `error` it is one,
 * whatever the status was.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- like the result of JSON.parse: servers send what they like
export type TokenResponseHook = (answer: Record<string, any>, status: number) => object

/** The response as the standard has it. Throws what the function throws, and `invalid_server_response`. */
export async function standardResponse(response: Response, hook: TokenResponseHook): Promise<Response> {
  const text = await response.text()
  const answer = jsonIn(text) ?? formIn(text, response.headers.get('content-type') ?? '')
  // What cannot be read is told by its status, as from any other server.
  if (!answer) return new Response(text, { status: response.status, headers: response.headers })
  const made: unknown = await appAnswer('tokenResponse', () => hook(answer, response.status))
  if (made === null || typeof made !== 'object' || Array.isArray(made)) {
    throw new OAuthError('invalid_configuration', {
      message: 'the function "tokenResponse" gave no object',
      hint: 'Return what RFC 6749 §5.1 wants, such as { ...answer, token_type: "Bearer" }.',
    })
  }
  const isError = 'error' in made && typeof made.error === 'string'
  const headers = new Headers(response.headers)
  headers.set('content-type', 'application/json')
  headers.delete('content-length')
  const status = isError && response.status < 400 ? 400 : response.status
  return new Response(JSON.stringify(made), { status, headers })
}

function jsonIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

function formIn(text: string, type: string): Record<string, unknown> | undefined {
  if (!/^(application\/x-www-form-urlencoded|text\/plain)\b/i.test(type) || !/^[^=&\s]+=/.test(text))
    return undefined
  const { expires_in: life, ...fields } = Object.fromEntries(new URLSearchParams(text))
  return { ...fields, ...(life !== undefined && { expires_in: Number(life) }) }
}
