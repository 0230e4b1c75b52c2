/** Slack's OAuth v2 and two methods of its API, as its documentation describes them. */
import { basic, bearer, startStandIn, type Granted, type StandIn } from './stand-in.js'

export interface SlackStandInOptions {
  /** Tokens end after 12 hours and can be refreshed once. Default false: they do not end. */
  readonly rotates?: boolean
}

/** Whoever agrees is in this workspace. */
const team = { id: 'T9TK3CUKW', name: 'Pickleball' }

export function startSlack({ rotates = false }: SlackStandInOptions = {}): Promise<StandIn> {
  return startStandIn(({ grants, clientId, clientSecret }) => {
    const ends = (grant: Granted) =>
      rotates ? { expires_in: 43_200, refresh_token: grants.newRefreshToken(grant) } : {}
    const bot = (grant: Granted): Granted => ({ ...grant, account: 'B-robot' })
    const tokenOf = (grant: Granted, kind: 'bot' | 'user') => ({
      access_token: grants.newAccessToken(grant),
      token_type: kind,
      scope: grant.query.get(kind === 'bot' ? 'scope' : 'user_scope') ?? '',
      ...ends(grant),
    })
    return {
      'GET slack.com/oauth/v2/authorize': grants.authorize,
      'POST slack.com/api/oauth.v2.access': (request) => {
        const client = basic(request)
        if (client?.id !== clientId) return { body: { ok: false, error: 'invalid_client_id' } }
        if (client.secret !== clientSecret) return { body: { ok: false, error: 'bad_client_secret' } }
        const { form } = request
        const grant = grants.redeem(form)
        const isRefresh = form.get('grant_type') === 'refresh_token'
        if (!grant)
          return { body: { ok: false, error: isRefresh ? 'invalid_refresh_token' : 'invalid_code' } }
        const common = { ok: true, app_id: 'A0KRD7HC3', team, enterprise: null }
        if (isRefresh)
          return {
            body: { ...common, ...tokenOf(grant, grant.account.startsWith('B') ? 'bot' : 'user') },
          }
        const hasBot = (grant.query.get('scope') ?? '') !== ''
        const hasUser = grant.query.has('user_scope')
        return {
          body: {
            ...common,
            ...(hasBot && { ...tokenOf(bot(grant), 'bot'), bot_user_id: 'B-robot' }),
            authed_user: { id: grant.account, ...(hasUser && tokenOf(grant, 'user')) },
          },
        }
      },
      'GET slack.com/api/auth.test': (request) => {
        const user = grants.account(bearer(request))
        return user === undefined
          ? { body: { ok: false, error: 'token_revoked' } }
          : { body: { ok: true, team: team.name, team_id: team.id, user: user.toLowerCase(), user_id: user } }
      },
      'POST slack.com/api/auth.revoke': (request) => {
        const token = bearer(request) ?? ''
        if (grants.account(token) === undefined) return { body: { ok: false, error: 'invalid_auth' } }
        grants.revoke(token)
        return { body: { ok: true, revoked: true } }
      },
    }
  })
}
