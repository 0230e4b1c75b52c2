/** The two cookies of a session: one without the other, or with another's, is no session. */
import { describe, expect, test } from 'vitest'
import { json } from '../support/faulty-server/answer.js'
import { startInstances } from '../support/instances.js'

const withoutTokens = (cookie: string) =>
  cookie
    .split('; ')
    .filter((pair) => !pair.startsWith('oauth.tokens'))
    .join('; ')
const tokensOf = (cookie: string) =>
  cookie
    .split('; ')
    .filter((pair) => pair.startsWith('oauth.tokens'))
    .join('; ')

describe('C4 a session without its tokens is none', () => {
  test.each<[string, (own: string, other: string) => string]>([
    ['the tokens are gone', (own) => withoutTokens(own)],
    ['they are of another user', (own, other) => `${withoutTokens(own)}; ${tokensOf(other)}`],
    ['they came twice', (own) => `${own}; ${tokensOf(own)}`],
    ['they are rubbish', (own) => `${withoutTokens(own)}; oauth.tokens=rubbish`],
    [
      'a part of them is missing',
      (own) => `${withoutTokens(own)}; oauth.tokens=2~${tokensOf(own).slice(13)}`,
    ],
  ])('%s', async (_what, spoil) => {
    const { user, isIn, token } = await startInstances({ kind: 'cookies' })
    const [own, other] = [await user(), await user()]
    expect(await isIn(0, own)).toBe(true)
    const spoilt = spoil(own, other)
    expect(await isIn(0, spoilt)).toBe(false)
    expect(await token(0, spoilt)).toMatch(/^login_required/)
  })

  test('the tokens alone are nobody', async () => {
    const { user, isIn } = await startInstances({ kind: 'cookies' })
    expect(await isIn(0, tokensOf(await user()))).toBe(false)
  })
})

test('T61 new tokens that are too large for a cookie leave the session as it was', async () => {
  const { user, token, isIn, server } = await startInstances({ kind: 'cookies' })
  const cookie = await user()
  server.misbehave({
    answerToken: (_op, response) => json({ ...response, access_token: 'a'.repeat(9_000) }),
  })
  expect(await token(0, cookie, { forceRefresh: true })).toContain('session_too_large')
  expect(await isIn(0, cookie)).toBe(true)
})
