import { expect, test } from 'vitest'
import { OAuthError } from '../../lib/errors.js'
import { createPauses } from '../../lib/tokens/pauses.js'

test('an answer to a request from before does not end a pause that the server has asked for', () => {
  let now = 1_000
  const pauses = createPauses({ now: () => now })
  pauses.failed('a', new OAuthError('server_unavailable', { headers: { 'retry-after': '30' } }))
  pauses.succeeded('a')
  expect(pauses.current('a')?.headers['retry-after']).toBe('30')
  expect(pauses.current('b')).toBeUndefined()
  now += 30
  expect(pauses.current('a')).toBeUndefined()
})
