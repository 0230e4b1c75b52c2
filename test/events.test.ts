import { channel } from 'node:diagnostics_channel'
import { expect, onTestFinished, test } from 'vitest'
import { emitter, type OAuthEvent } from '../lib/events.js'
import { unhandledRejections } from './oauth/unhandled-rejections.js'

const event: OAuthEvent = { type: 'logout', subject: 'user-1' }

test('an event goes to onEvent and to the channel', () => {
  const told: unknown[] = []
  const heard: unknown[] = []
  const listener = (message: unknown) => void heard.push(message)
  channel('express-oauth-kit').subscribe(listener)
  onTestFinished(() => {
    channel('express-oauth-kit').unsubscribe(listener)
  })
  emitter((one) => told.push(one))(event)
  expect([told, heard]).toEqual([[event], [event]])
})

test('without onEvent it goes to the channel alone', () => {
  expect(() => emitter()(event)).not.toThrow()
})

test('an onEvent that throws becomes a warning', async () => {
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
  emitter(() => {
    throw new Error('no disk')
  })(event)
  expect((await warned).message).toBe('onEvent threw on "logout": no disk')
})

test('an onEvent that rejects does, too', async () => {
  const { rejections } = await unhandledRejections(async () => {
    // oxlint-disable-next-line typescript/no-misused-promises -- applications do it, and types allow it
    emitter(async () => {
      throw new Error('no database')
    })(event)
  })
  expect(rejections).toEqual([])
})

test('an onEvent that throws something else does, too', async () => {
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
  emitter(() => {
    // oxlint-disable-next-line typescript/only-throw-error -- JavaScript may throw anything
    throw 'no error'
  })(event)
  expect((await warned).message).toContain('onEvent threw on "logout"')
})
