import { expect, test } from 'vitest'
import { linkedSecret } from '../support/linked-record.js'
import { startLinked } from '../support/linked.js'

const next = 'the next secret of thirty-two bytes or more'

test('after resealing the old secret can be taken out', async () => {
  const { link, open, kept, server } = await startLinked()
  for (let n = 0; n < 120; n++) await link(`a${n}`)
  await link('ended', { status: 'disconnected' })
  await link('foreign', { tokens: 'sealed by nobody' })
  const both = open({ secrets: [next, linkedSecret] })
  const before = await kept('id-a0')

  const counts = await Promise.all([both.reseal(), open({ secrets: [next, linkedSecret] }).reseal()])

  expect(counts[0] + counts[1]).toBe(121)
  expect(await both.reseal()).toBe(0)
  expect(await kept('id-a0')).toMatchObject({ ...before, tokens: expect.any(String), version: 2 })
  const only = open({ secrets: [next] })
  expect(await (await only.for('owner-of-a0').get('id-a0')).test()).toMatchObject({ status: 'active' })
  await (await only.for('owner-of-ended').get('id-ended')).disconnect()
  expect(server.revoked).toContain('refresh-ended.1')
  expect((await kept('id-foreign'))?.tokens).toBe('sealed by nobody')
})

test('a connection that is changed or removed meanwhile is left as it is then', async () => {
  const { link, open, kept, store, apps } = await startLinked()
  const ann = await link('ann', { life: -1 })
  const bob = await link('bob')
  await link('cat')
  const both = open({
    secrets: [next, linkedSecret],
    store: {
      ...store,
      async page(after, limit) {
        const records = await store.page(after, limit)
        await ann.accessToken()
        await bob.remove()
        return records
      },
    },
  })
  expect(await both.reseal()).toBe(2)
  expect(await kept(bob.id)).toBeUndefined()
  // The newer token, and by both secrets still.
  const token = await (
    await open({ secrets: [next] })
      .for(ann.owner)
      .get(ann.id)
  ).accessToken()
  expect(token).toBe('access-ann.2')
  await expect(apps[0].for(bob.owner).get(bob.id)).rejects.toMatchObject({ code: 'connection_not_found' })
})
