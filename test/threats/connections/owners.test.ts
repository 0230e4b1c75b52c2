/** T10: whose connections an app asks for, when its own code gives something else than a name. */
import { describe, expect, test } from 'vitest'
import { startLinked } from '../../support/linked.js'

describe('T10 an owner that the app does not know is nobody:', () => {
  test.each<[unknown]>([[undefined], [null], [''], [42], [['owner-of-alice']], [{}]])(
    'for(%j) gives no connection to anybody',
    async (owner) => {
      const {
        apps: [app],
        link,
      } = await startLinked()
      const { id } = await link('alice')

      const asked = async () => app.for(owner as string).get(id)

      await expect(asked()).rejects.toMatchObject({ code: 'access_denied', reason: 'no_owner', status: 403 })
    },
  )

  test.each<[unknown]>([[undefined], [null], [{ $ne: '' }], [['id-alice']], [42]])(
    'get(%j) finds none',
    async (id) => {
      const {
        apps: [app],
        link,
      } = await startLinked({
        // One that takes whatever is no text for a search, and finds somebody.
        seenBy: (store) => ({
          ...store,
          get: (key) => store.get(typeof key === 'string' ? key : 'id-alice'),
        }),
      })
      await link('alice')

      await expect(app.for('owner-of-alice').get(id as string)).rejects.toMatchObject({
        code: 'connection_not_found',
      })
    },
  )
})

test('T13 a status that only a later version knows lets nobody use the tokens', async () => {
  const { link, server } = await startLinked()
  const connection = await link('alice', { status: 'suspended' as 'active' })

  expect(connection).toMatchObject({ status: 'needs_reconnect', reason: 'refresh_refused' })
  await expect(connection.fetch(`${server.url}/me`)).rejects.toMatchObject({ code: 'needs_reconnect' })
  expect(server.requests).toEqual([])
})
