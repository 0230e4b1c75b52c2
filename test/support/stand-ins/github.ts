/** GitHub, as its documentation describes it. */
import { bearer, startStandIn, type Route, type StandIn, type StandInAnswer } from './stand-in.js'

export interface GitHubStandInOptions {
  /** Tokens end after 8 hours and can be refreshed, as those of a GitHub App. Default false: an OAuth app. */
  readonly expires?: boolean
  /** Answers with a form, as GitHub does to whoever does not ask for JSON. */
  readonly answersWithForm?: boolean
}

const users: Readonly<Record<string, object>> = {
  octocat: { id: 583231, login: 'octocat', name: 'The Octocat' },
  hubot: { id: 480938, login: 'hubot', name: null },
}

export function startGitHub({
  expires = false,
  answersWithForm = false,
}: GitHubStandInOptions = {}): Promise<StandIn> {
  return startStandIn(({ grants, clientId, clientSecret }) => {
    const isClient = (id: string | null | undefined, secret: string | null | undefined) =>
      id === clientId && secret === clientSecret
    const answer = (fields: Record<string, string | number>): StandInAnswer =>
      answersWithForm
        ? {
            headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
            body: new URLSearchParams(
              Object.entries(fields).map(([name, value]): [string, string] => [name, String(value)]),
            ).toString(),
          }
        : { body: fields }
    const remove =
      (whole: boolean): Route =>
      (request) => {
        // Basic credentials of the API are not form-encoded first.
        const [, plain = ''] = /^Basic (.+)$/.exec(request.headers.authorization ?? '') ?? []
        const isTheirs = Buffer.from(plain, 'base64').toString() === `${clientId}:${clientSecret}`
        if (!isTheirs) return { status: 401, body: { message: 'Bad credentials' } }
        if (request.headers['user-agent'] === 'node') return { status: 403 }
        const { access_token: token } = JSON.parse(request.body) as { access_token: string }
        if (!grants.isKnown(token)) return { status: 404, body: { message: 'Not Found' } }
        grants.revoke(token, whole)
        return { status: 204 }
      }
    return {
      'GET github.com/login/oauth/authorize': grants.authorize,
      'POST github.com/login/oauth/access_token': ({ form }) => {
        if (!isClient(form.get('client_id'), form.get('client_secret')))
          return answer({
            error: 'incorrect_client_credentials',
            error_description: 'The client_id and/or client_secret passed are incorrect.',
          })
        const grant = grants.redeem(form)
        const isRefresh = form.get('grant_type') === 'refresh_token'
        if (!grant)
          return answer({
            error: isRefresh ? 'bad_refresh_token' : 'bad_verification_code',
            error_description: `What was passed is incorrect or expired: ${form.get('code') ?? form.get('refresh_token')}`,
            error_uri: '/apps/troubleshooting',
          })
        return answer({
          access_token: grants.newAccessToken(grant),
          scope: expires ? '' : (grant.query.get('scope') ?? '').split(' ').join(','),
          token_type: 'bearer',
          ...(expires && {
            expires_in: 28_800,
            refresh_token: grants.newRefreshToken(grant),
            refresh_token_expires_in: 15_897_600,
          }),
        })
      },
      'GET api.github.com/user': (request) => {
        const { 'user-agent': agent, 'x-github-api-version': version } = request.headers
        if (agent === undefined || agent === 'node' || version !== '2022-11-28') return { status: 403 }
        const user = grants.account(bearer(request))
        return user === undefined
          ? { status: 401, body: { message: 'Bad credentials' } }
          : { body: users[user] }
      },
      [`DELETE api.github.com/applications/${clientId}/token`]: remove(false),
      [`DELETE api.github.com/applications/${clientId}/grant`]: remove(true),
    }
  })
}
