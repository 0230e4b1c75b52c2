/**
 * Accounts in Slack workspaces, by OAuth v2.
 *
 * From "Installing with OAuth", "Using token rotation", and the pages of the methods `oauth.v2.access`, `auth.test` and
 * `auth.revoke`, all at https://docs.slack.dev, read in 2026-11. That the answer to a refresh has the tokens of a user at its
 * top is told by Slack's own SDK for Python (slack_sdk/oauth/token_rotation/rotator.py).
 *
 * Nothing was tried at Slack itself. Not told by the documentation: whether a refresh token ends with its access token when
 * that is revoked.
 */

import { OAuthError } from '../../errors.js'
import { spaced } from '../../oauth/lenient-token-response.js'
import type { TokenResponseHook } from '../../oauth/token-response.js'
import type { TokenRevocation } from '../provider-options.js'
import { defined, type DefinedProvider, type DefinitionOptions } from './definition.js'

export interface SlackOptions extends DefinitionOptions {
  /** As whom the app acts in the workspace. Scopes are those of a user or those of a bot. Default `user`. */
  actsAs?: 'user' | 'bot'
}

const api = 'https://slack.com/api'

/**
 * Tokens do not end by themselves, unless token rotation is on in the app's settings: then after 12 hours, and they are
 * refreshed. The API answers with status 200 to tokens that it refuses, so only the test call finds a dead connection.
 */
export function slack({ actsAs = 'user', scope = '', ...options }: SlackOptions): DefinedProvider {
  const scopes = scope.split(' ').filter(Boolean).join(',')
  const { authorizationParameters } = options
  return defined(
    {
      name: 'Slack',
      endpoints: {
        authorization: 'https://slack.com/oauth/v2/authorize',
        token: `${api}/oauth.v2.access`,
      },
      tokenResponse: slackTokenResponse(actsAs),
      revokeToken,
      test: { url: `${api}/auth.test`, judge },
      // The ids of users are unique in their workspace.
      accountId: (me) => `${text(me?.team_id)}/${text(me?.user_id)}`,
      label: (me) => `${me?.user} (${me?.team})`,
      allow: [`${api}/`],
    },
    actsAs === 'user'
      ? {
          ...options,
          authorizationParameters: { ...(scopes && { user_scope: scopes }), ...authorizationParameters },
        }
      : { ...options, scope: scopes },
  )
}

function text(id: unknown): string {
  if (typeof id === 'string' && id !== '') return id
  throw new OAuthError('invalid_server_response', {
    message: 'Slack does not say whose account it is',
    reason: 'account_id',
  })
}

/** Slack's own errors; whatever is missing here says nothing about the grant and keeps its name. */
const errors = new Map([
  ['invalid_client_id', 'invalid_client'],
  ['bad_client_secret', 'invalid_client'],
  ['invalid_code', 'invalid_grant'],
  ['code_already_used', 'invalid_grant'],
  ['invalid_refresh_token', 'invalid_grant'],
  ['token_revoked', 'invalid_grant'],
  ['account_inactive', 'invalid_grant'],
  ['ratelimited', 'temporarily_unavailable'],
  ['service_unavailable', 'temporarily_unavailable'],
  ['request_timeout', 'temporarily_unavailable'],
  ['internal_error', 'temporarily_unavailable'],
  ['fatal_error', 'temporarily_unavailable'],
])

/** Who allowed the app stands in an object of its own, beside the bot; after a refresh there is one of the two, at the top. */
function slackTokenResponse(wanted: 'user' | 'bot'): TokenResponseHook {
  return ({ ok, error, authed_user: user, ...bot }) => {
    if (ok !== true) {
      const name = typeof error === 'string' ? error : 'server_error'
      return { error: errors.get(name) ?? name }
    }
    const isUserBeside = wanted === 'user' && typeof user?.access_token === 'string'
    const { token_type, scope, ...tokens } = isUserBeside ? user : bot
    // What acts as somebody else is no token of this connection.
    if (token_type !== wanted)
      return { error: 'invalid_scope', error_description: `no token of a ${wanted} was granted` }
    return { ...tokens, token_type: 'Bearer', ...(scope !== undefined && { scope: spaced(scope) }) }
  }
}

/** Errors of Slack's API that say: this token is not good. */
const refusals = ['invalid_auth', 'token_revoked', 'token_expired', 'account_inactive']

function judge(answer: unknown): 'good' | 'refused' | 'unavailable' {
  const { ok, error } = (answer ?? {}) as { ok?: unknown; error?: unknown }
  if (ok === true) return 'good'
  return refusals.some((one) => one === error) ? 'refused' : 'unavailable'
}

/** It is the access token that is revoked. */
async function revokeToken({ token, tokenTypeHint, fetch }: TokenRevocation): Promise<void> {
  if (tokenTypeHint === 'refresh_token') return
  const response = await fetch(`${api}/auth.revoke`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  })
  const answer: unknown = response.status === 200 ? await response.json().catch(() => undefined) : undefined
  const verdict = judge(answer)
  if (verdict === 'unavailable')
    throw new OAuthError('server_unavailable', { reason: `status_${response.status}` })
}
