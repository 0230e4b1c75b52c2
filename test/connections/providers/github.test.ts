import { describe, expect, test } from 'vitest'
import type { ConnectionProvider } from '../../../lib/index.js'
import { github, type GitHubOptions } from '../../../lib/providers.js'
import { startGitHub, type GitHubStandInOptions } from '../../support/stand-ins/github.js'
import { startStandInStage } from '../../support/stand-ins/stage.js'
import { travel } from '../../support/time.js'

const tokens = 'github.com/login/oauth/access_token'
const user = 'https://api.github.com/user'

async function stageAt(server: GitHubStandInOptions, special: Partial<GitHubOptions> = {}) {
  const service = await startGitHub(server)
  const { clientId, clientSecret } = service
  const provider: ConnectionProvider = github({
    clientId,
    clientSecret,
    scope: 'read:user repo',
    ...special,
  })
  return { service, ...(await startStandInStage(provider, service)) }
}

describe('GitHub', () => {
  test('an account is connected by an OAuth app, used, and its token deleted', async () => {
    const { service, connect, only } = await stageAt({})

    expect(await connect('octocat')).toMatchObject({ status: 'connected' })

    const connection = await only()
    expect(connection).toMatchObject({ label: 'octocat', account_id: '583231', scope: 'read:user repo' })
    expect(connection.issuer).toBe('https://github.com/login/oauth')
    expect(await (await connection.fetch(user)).json()).toMatchObject({ login: 'octocat' })
    expect(service.at('api.github.com/user').at(-1)?.headers).toMatchObject({
      'user-agent': service.clientId,
      'x-github-api-version': '2022-11-28',
    })

    const token = await connection.accessToken()
    expect(await connection.disconnect()).toMatchObject({ status: 'disconnected' })
    expect(service.grants.isKnown(token)).toBe(false)
    await expect(connection.fetch(user)).rejects.toMatchObject({ reason: 'disconnected' })
  })

  test('tokens of a GitHub App are refreshed, and a refused refresh token asks for a new connection', async () => {
    const { service, connect, only, events } = await stageAt({ expires: true }, { scope: '' })
    await connect('hubot')
    const connection = await only()
    const first = await connection.accessToken()

    travel(8 * 3_600)
    const second = await connection.accessToken()
    expect(second).not.toBe(first)
    expect(await (await connection.fetch(user)).json()).toMatchObject({ login: 'hubot' })

    service.grants.revokeAll('hubot')
    travel(8 * 3_600)
    await expect(connection.fetch(user)).rejects.toMatchObject({
      code: 'needs_reconnect',
      reason: 'refresh_refused',
    })
    expect(await only()).toMatchObject({ status: 'needs_reconnect', reason: 'refresh_refused' })
    expect(events.at(-1)).toMatchObject({ type: 'needs_reconnect' })
  })

  test('a wrong client secret, which comes with status 200, ends no connection', async () => {
    const { service, connect, only } = await stageAt({ expires: true })
    await connect('hubot')
    service.replace(`POST ${tokens}`, () => ({ body: { error: 'incorrect_client_credentials' } }))

    travel(8 * 3_600)
    await expect((await only()).fetch(user)).rejects.toMatchObject({ code: 'invalid_client' })

    expect(await only()).toMatchObject({ status: 'active' })
  })

  test('an error nobody knows, with status 200, ends no connection', async () => {
    const { service, connect, only } = await stageAt({ expires: true })
    await connect('hubot')
    service.replace(`POST ${tokens}`, () => ({ body: { error: 'something_new' } }))

    travel(8 * 3_600)
    await expect((await only()).fetch(user)).rejects.toMatchObject({ code: 'server_refused' })

    expect(await only()).toMatchObject({ status: 'active' })
  })

  test('a code that was used is told in words, without the code', async () => {
    const { service, connect } = await stageAt({})
    service.replace(`POST ${tokens}`, ({ form }) => ({
      body: {
        error: 'bad_verification_code',
        error_description: `The code passed is incorrect or expired: ${form.get('code')}`,
      },
    }))

    expect(await connect('octocat')).toMatchObject({
      status: 'failed',
      error: 'invalid_grant',
      provider_error_description: 'The code passed is incorrect or expired: [redacted]',
    })
  })

  test('an answer as a form is as good', async () => {
    const { connect, only } = await stageAt({ expires: true, answersWithForm: true })
    expect(await connect('octocat')).toMatchObject({ status: 'connected' })
    const connection = await only()
    const first = await connection.accessToken()
    travel(8 * 3_600)
    expect(await connection.accessToken()).not.toBe(first)
  })

  test('a user who took the app away is found by the test call', async () => {
    const { service, connect, only } = await stageAt({})
    await connect('octocat')
    service.grants.revokeAll('octocat')
    expect(await (await only()).test()).toMatchObject({ status: 'needs_reconnect', reason: 'test_refused' })
  })

  test('the name of the server is compared when it comes (RFC 9207)', async () => {
    const { service, connect } = await stageAt({})
    const named = (iss: string) =>
      service.replace('GET github.com/login/oauth/authorize', (request) => {
        const answer = service.grants.authorize(request)
        return {
          ...answer,
          headers: { location: `${answer.headers?.['location']}&iss=${encodeURIComponent(iss)}` },
        }
      })
    named('https://evil.example')
    expect(await connect('octocat')).toMatchObject({ status: 'failed', error: 'issuer_mismatch' })
    named('https://github.com/login/oauth')
    expect(await connect('octocat')).toMatchObject({ status: 'connected' })
  })

  test('revoking can end the whole grant, and takes the other secret when one is refused', async () => {
    const { service, connect, only } = await stageAt({ expires: true }, { revokes: 'grant' })
    const { clientId, clientSecret } = service
    const rotating = await startStandInStage(
      github({ clientId, clientSecret: () => ['old', clientSecret], revokes: 'grant' }),
      service,
    )
    await connect('octocat')
    await (await only()).disconnect()
    await rotating.connect('hubot')
    await (await rotating.only()).disconnect()
    const answers = service.at(`api.github.com/applications/${clientId}/grant`)
    expect(answers.every(({ method }) => method === 'DELETE')).toBe(true)
    expect(rotating.events.some(({ type }) => type === 'revocation_failed')).toBe(false)
    expect(service.grants.account(JSON.parse(answers.at(-1)?.body ?? '{}').access_token)).toBeUndefined()
  })

  test.each([401, 403, 422, 500])(
    'a token whose deletion is answered with %i stays to be revoked',
    async (status) => {
      const { service, connect, only, events } = await stageAt({})
      await connect('octocat')
      service.replace(`DELETE api.github.com/applications/${service.clientId}/token`, () => ({ status }))
      expect(await (await only()).disconnect()).toMatchObject({ status: 'disconnected' })
      expect(events.map(({ type }) => type)).toContain('revocation_failed')
    },
  )
})
