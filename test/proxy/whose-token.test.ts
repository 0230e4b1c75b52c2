/** Whose token a request takes along, by the option `token` and by who is signed in. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { clientCredentials, type ServiceClient } from '../../lib/index.js'
import { storages } from '../support/app.js'
import { startFaultyServer, type FaultyServer } from '../support/faulty-server.js'
import { proxiedApi } from './proxied.js'

async function service(): Promise<{ client: ServiceClient; server: FaultyServer }> {
  const server = await startFaultyServer()
  onTestFinished(() => server.close())
  const { issuer, clientId, clientSecret } = server
  return { client: clientCredentials({ issuer, clientId, clientSecret }), server }
}

const newestToken = ({ secrets }: FaultyServer) =>
  secrets.findLast(({ role }) => role === 'access token')?.value

const nobody = { headers: { cookie: '' } }

describe('token', () => {
  it('"client": the app’s own, whoever is signed in', async () => {
    const { client, server: itsServer } = await service()
    const { send, api } = await proxiedApi({ token: 'client', client })
    expect((await send('/api/x')).status).toBe(200)
    expect((await send('/api/x', { method: 'POST', body: 'x', ...nobody })).status).toBe(200)
    const token = newestToken(itsServer)
    expect(token).toEqual(expect.any(String))
    expect([api.tokens, itsServer.counts.token]).toEqual([[token, token], 1])
  })

  it('T108: "client": the app’s own is for its own pages, too', async () => {
    const { client } = await service()
    for (const token of ['client', 'user-or-client'] as const) {
      const { send, api } = await proxiedApi({ token, client })
      for (const headers of [
        { 'sec-fetch-site': 'cross-site' },
        { ...nobody.headers, 'sec-fetch-site': 'same-site' },
      ])
        expect((await send('/api/x', { headers })).status).toBe(403)
      expect(api.requests).toEqual([])
    }
  })

  it('"user-or-client": the user’s, and without one the app’s', async () => {
    const { client, server: itsServer } = await service()
    const { send, api, server } = await proxiedApi({ token: 'user-or-client', client })
    await send('/api/x')
    expect([api.tokens, itsServer.counts.token]).toEqual([[newestToken(server)], 0])
    await send('/api/x', nobody)
    expect(api.tokens[1]).toBe(newestToken(itsServer))
  })

  it.each(storages)('of a user whose session was ended goes nowhere, storage %s', async (storage) => {
    const { client, server: itsServer } = await service()
    for (const [token, status] of [
      ['user-or-none', 200],
      ['user-or-client', 200],
      ['user', 401],
    ] as const) {
      const options = token === 'user-or-client' ? { token, client } : { token }
      const { send, api, server, app } = await proxiedApi(options, { storage })
      expect((await send('/api/x')).status).toBe(200)
      expect(api.tokens).toEqual([newestToken(server)])
      await app.login.endSessions('subject-1')
      expect((await send('/api/x')).status).toBe(status)
      const then = { 'user-or-none': [''], 'user-or-client': [newestToken(itsServer)], user: [] }[token]
      expect(api.tokens.slice(1)).toEqual(then)
      const without = api.requests.filter(({ headers }) => headers.authorization === undefined)
      expect(without).toHaveLength(token === 'user-or-none' ? 1 : 0)
    }
  })
})
