/**
 * Accounts at GitHub, by an OAuth app or a GitHub App.
 *
 * From "Authorizing OAuth apps", "Refreshing user access tokens", "Troubleshooting OAuth app access token request errors",
 * "REST API endpoints for OAuth authorizations" and "Getting started with the REST API", all at https://docs.github.com, and
 * "PKCE support for OAuth and GitHub App authentication" (https://github.blog/changelog/, 2025-07-14); read in 2026-11. What
 * GitHub calls itself in the parameter `iss` (RFC 9207) is not documented: it sent `https://github.com/login/oauth` for some
 * days in April 2026 (https://github.com/langfuse/langfuse/issues/13091). That a refused refresh token is called
 * `bad_refresh_token` is not documented either; public code says so.
 *
 * Nothing was tried at GitHub itself. Not told by the documentation: what becomes of a refresh token whose access token is
 * deleted, and what is answered for a token that is deleted already; 404 is taken for it.
 */

import { OAuthError } from '../../errors.js'
import { lenientTokenResponse } from '../../oauth/lenient-token-response.js'
import type { TokenResponseHook } from '../../oauth/token-response.js'
import type { TokenRevocation } from '../provider-options.js'
import { defined, type DefinedProvider, type DefinitionOptions } from './definition.js'

export interface GitHubOptions extends DefinitionOptions {
  /** Names the app in each request, as GitHub asks for. Default: the client id. */
  userAgent?: string
  /**
   * What disconnecting ends: the token, or all that the user granted to the app, whose sign-ins and other tokens end with
   * it. Default `token`.
   */
  revokes?: 'token' | 'grant'
}

const api = 'https://api.github.com'
const server = 'https://github.com/login/oauth'

/** The version of the API that each request asks for; one of the `parameters`. */
const apiVersion = '2022-11-28'

/**
 * Tokens of an OAuth app do not end by themselves; those of a GitHub App end after 8 hours and are refreshed, unless that is
 * switched off there. A GitHub App takes no scopes: its permissions are set where it is registered.
 */
export function github({ userAgent, revokes = 'token', ...options }: GitHubOptions): DefinedProvider {
  const headers = {
    'user-agent': userAgent ?? options.clientId,
    'x-github-api-version': apiVersion,
  }
  return defined(
    {
      name: 'GitHub',
      issuer: server,
      endpoints: { authorization: `${server}/authorize`, token: `${server}/access_token` },
      tokenEndpointAuthMethod: 'client_secret_post',
      tokenResponse: githubTokenResponse,
      revokeToken: (revocation) => deleteToken(revocation, revokes, headers),
      test: { url: `${api}/user` },
      accountId: (user) => user?.id,
      label: (user) => user?.login,
      allow: [`${api}/`],
      parameters: { headers },
    },
    options,
  )
}

/** Errors come with status 200, and some are GitHub's own. */
const errors = new Map([
  ['incorrect_client_credentials', 'invalid_client'],
  ['bad_verification_code', 'invalid_grant'],
  ['bad_refresh_token', 'invalid_grant'],
])

const githubTokenResponse: TokenResponseHook = (answer, status) => {
  const { error } = answer
  if (typeof error !== 'string') return lenientTokenResponse(answer, status)
  return { ...answer, error: errors.get(error) ?? error }
}

/** A refresh token cannot be deleted there. */
async function deleteToken(
  { token, tokenTypeHint, clientId, clientSecret = '', fetch }: TokenRevocation,
  what: 'token' | 'grant',
  headers: Record<string, string>,
): Promise<void> {
  if (tokenTypeHint === 'refresh_token') return
  const { status } = await fetch(`${api}/applications/${encodeURIComponent(clientId)}/${what}`, {
    method: 'DELETE',
    headers: {
      ...headers,
      accept: 'application/vnd.github+json',
      'content-type': 'application/json',
      authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
    },
    body: JSON.stringify({ access_token: token }),
  })
  if (status === 204 || status === 404) return
  throw new OAuthError(status === 401 ? 'invalid_client' : 'server_unavailable', {
    reason: `status_${status}`,
  })
}
