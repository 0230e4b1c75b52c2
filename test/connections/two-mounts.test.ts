/** One app, two places: the connections of users and those of their team, over one store and with one name. */
import { expect, test } from 'vitest'
import { memoryConnectionStore, oauthConnections, type OAuthConnections } from '../../lib/index.js'
import { canary } from '../support/canaries.js'
import { providerAt, startConnecting } from '../support/connecting.js'

async function startTwo() {
  const store = memoryConnectionStore()
  let ofTeam: OAuthConnections | undefined
  const stage = await startConnecting({
    store,
    app: { routes: (router) => router.use((request, response, next) => ofTeam?.(request, response, next)) },
  })
  ofTeam = oauthConnections({
    baseUrl: stage.app.url,
    path: '/team',
    owner: () => 'team:1',
    secrets: [canary('cookie-secret')],
    store,
    providers: { projects: providerAt(stage.providers['projects']) },
    onEvent: () => undefined,
  })
  for (const { redirectUri } of ofTeam.redirectUris())
    stage.providers['projects']?.server.register(redirectUri)
  return { ...stage, ofTeam }
}

test('what is begun at one leaves what is in flight at the other, and each keeps its own outcome', async () => {
  const stage = await startTwo()
  const { app } = stage
  const alice = await stage.signedIn('alice')
  const ofUser = await stage.pending(alice)
  await stage.as(alice, 'team')
  const { body } = await stage.post(alice, '/team/projects/connect')
  await alice.click((JSON.parse(body) as { location: string }).location)

  await alice.visit(ofUser)

  const list = async (path: string) => {
    const answer = await alice.fetch(app.url + path, { headers: { 'x-csrf': '1' } })
    return JSON.parse(answer.body) as { connections: object[]; outcome: object | null }
  }
  expect(await list('/team')).toMatchObject({
    connections: [{ account_id: 'team' }],
    outcome: { status: 'connected' },
  })
  expect(await list('/connections')).toMatchObject({
    connections: [{ account_id: 'alice' }],
    outcome: { status: 'connected' },
  })
})
