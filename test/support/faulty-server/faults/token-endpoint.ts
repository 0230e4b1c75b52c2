/** Faults of the token endpoint: error answers, answers that are none, connections that break. */
import { empty, hang, html, json, redirect, reset } from '../answer.js'
import type { Steps } from '../provider.js'

type TokenAnswer = Pick<Steps, 'answerToken'>

/** Twice what a client should read. */
const hugeBody = 2 * 1024 * 1024

export const tokenFaults = {
  'token-error-invalid-request': withError('invalid_request'),
  'token-error-invalid-client': withError('invalid_client', 401),
  'token-error-invalid-grant': withError('invalid_grant'),
  'token-error-unauthorized-client': withError('unauthorized_client'),
  'token-error-unsupported-grant-type': withError('unsupported_grant_type'),
  'token-error-invalid-scope': withError('invalid_scope'),
  'token-empty-400': { answerToken: () => empty(400) },
  'token-empty-200': { answerToken: () => empty(200) },
  'token-500': { answerToken: () => html('<h1>Internal Server Error</h1>', 500) },
  'token-503': {
    answerToken: () => json({ error: 'temporarily_unavailable' }, 503, { 'retry-after': '30' }),
  },
  'token-429': { answerToken: () => json({ error: 'slow_down' }, 429, { 'retry-after': '7' }) },
  'token-html': { answerToken: () => html('<h1>Please sign in</h1>') },
  'token-redirect': { answerToken: (op) => redirect(`${op.elsewhere}/token`, 307) },
  'token-huge': {
    answerToken: (_op, response) => json({ ...response, padding: 'x'.repeat(hugeBody) }),
  },
  'token-hang': { answerToken: () => hang() },
  'token-reset': { answerToken: () => reset() },
} satisfies Record<string, TokenAnswer>

/** The description quotes what the client sent, as careless servers do. */
function withError(error: string, status = 400): TokenAnswer {
  return {
    answerToken: (op) => {
      const code = op.requests.at(-1)?.body.get('code')
      return json({ error, error_description: `<b>refused</b> code ${code}` }, status)
    },
  }
}
