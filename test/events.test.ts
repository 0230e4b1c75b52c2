import { channel } from 'node:diagnostics_channel'
import { expect, onTestFinished, test } from 'vitest'
import { OAuthError } from '../lib/errors.js'
import { emitter, type OAuthEvent } from '../lib/events.js'
import { unhandledRejections } from './support/unhandled-rejections.js'

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

test('without onEvent a failed request becomes a warning, the same one not again and again', async () => {
  const warnings: string[] = []
  const listener = ({ message }: Error) => void warnings.push(message)
  process.on('warning', listener)
  onTestFinished(() => void process.off('warning', listener))
  const error = new OAuthError('server_unavailable', { message: 'the server is away', hint: 'Wait.' })
  const emit = emitter()
  for (let time = 0; time < 5; time++) emit({ type: 'request_failed', code: error.code, error })
  emit({ type: 'token_rejected', code: 'invalid_token', error: new OAuthError('invalid_token') })
  await new Promise((resolve) => setImmediate(resolve))
  expect(warnings).toEqual([
    'server_unavailable: the server is away. Wait. (Set "onEvent" to hear of failures yourself.)',
  ])
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
