/** One request to an API with an access token, sent again where that may help. */

import type { DPoPAnswer } from '../oauth/dpop-answer.js'
import type { ApiRequest, ApiToken, ApiTokens } from './api-token.js'

/** The tokens for one API. */
export interface RequestTokens {
  token(): Promise<ApiToken>
  /** Another one for one that the API refused, or nothing when there is none that is worth a try. */
  inPlaceOf(refused: ApiToken): Promise<ApiToken | undefined>
}

/** Of all tokens those that are wanted. */
export function tokensFor<T>(tokens: ApiTokens<T>, wanted: T): RequestTokens {
  return { token: () => tokens.token(wanted), inPlaceOf: (refused) => tokens.inPlaceOf(refused, wanted) }
}

export interface ApiExchange<Answer> {
  readonly request: ApiRequest
  /** Sends it, with the headers that show a token. */
  send(shown: Readonly<Record<string, string>>): Promise<Answer>
  said(answer: Answer): DPoPAnswer
  /** Whether it can be sent another time: a body that was a stream is spent, and nobody may be waiting any more. */
  isRepeatable(): boolean
  /** Lets an answer go that another one takes the place of. */
  discard(answer: Answer): unknown
}

/**
 * Once more with another proof where the API wants its newest nonce (RFC 9449 §9), and once more with another token where
 * it refused the first. Another token is asked for even if the request cannot be sent again: the next one has it, then.
 */
export async function exchanged<Answer>(
  token: ApiToken,
  tokens: RequestTokens,
  exchange: ApiExchange<Answer>,
): Promise<Answer> {
  const first = await proven(token, exchange)
  // Nothing is wrong with a token whose proof is refused.
  if (exchange.said(first.answer).status !== 401 || first.isProofRefused) return first.answer
  const another = await tokens.inPlaceOf(token).catch(async (error: unknown) => {
    await exchange.discard(first.answer)
    throw error
  })
  if (another === undefined || !exchange.isRepeatable()) return first.answer
  await exchange.discard(first.answer)
  return (await proven(another, exchange)).answer
}

async function proven<Answer>(
  token: ApiToken,
  { request, send, said, isRepeatable, discard }: ApiExchange<Answer>,
): Promise<{ answer: Answer; isProofRefused: boolean }> {
  const answer = await send(token.headers(request))
  const isProofRefused = token.wantsAnotherProof(request, said(answer))
  if (!isProofRefused || !isRepeatable()) return { answer, isProofRefused }
  await discard(answer)
  const second = await send(token.headers(request))
  return { answer: second, isProofRefused: token.wantsAnotherProof(request, said(second)) }
}
