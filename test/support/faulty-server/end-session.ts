/** The end_session endpoint: OpenID Connect RP-Initiated Logout 1.0 §2, without a question to the user. */
import { html, redirect, type Answer } from './answer.js'
import { authorizationOf, tellByFrame, tellDirectly } from './logout-token.js'
import type { Provider } from './provider.js'
import { repeatedNames, type RecordedRequest } from './recorded-request.js'

export async function endSession(op: Provider, request: RecordedRequest): Promise<Answer> {
  const parameters = request.method === 'POST' ? request.body : request.query
  op.complaints.push(...op.steps.endSessionComplaints(op, parameters))
  const authorization = authorizationOf(op, parameters.get('id_token_hint') ?? '')
  if (authorization) await tellDirectly(op, authorization)
  const answer = await op.steps.answerEndSession(op, parameters)
  return authorization ? tellByFrame(op, authorization, answer) : answer
}

export function endSessionComplaints(op: Provider, parameters: URLSearchParams): string[] {
  const broken: Record<string, boolean> = {
    'id_token_hint is not an ID token of this server': !op.idTokens.has(
      parameters.get('id_token_hint') ?? '',
    ),
    'post_logout_redirect_uri is not registered':
      parameters.has('post_logout_redirect_uri') && returnAddress(op, parameters) === undefined,
    'no state': !parameters.get('state'),
  }
  return [
    ...Object.keys(broken).filter((rule) => broken[rule]),
    ...repeatedNames(parameters).map((name) => `repeated parameter ${name}`),
  ].map((rule) => `logout request: ${rule}`)
}

/** Some servers return to the client only when there is a state; this one is as strict. */
export function answerEndSession(op: Provider, parameters: URLSearchParams): Answer {
  const target = returnAddress(op, parameters)
  const state = parameters.get('state')
  if (target === undefined || !state) return html('<!doctype html><title>Signed out</title>Signed out')
  const url = new URL(target)
  url.searchParams.set('state', state)
  return redirect(url.href)
}

function returnAddress({ client }: Provider, parameters: URLSearchParams): string | undefined {
  return client.postLogoutRedirectUris.find((uri) => uri === parameters.get('post_logout_redirect_uri'))
}
