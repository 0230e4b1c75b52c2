/** A secret is found in every form in which it can leak, and nothing else is. */
import { describe, expect, it } from 'vitest'
import { canary, everythingIn, leaks } from './canaries.js'

const secret = { role: 'access token', value: canary('access-token') }
const base64 = (text: string) => Buffer.from(text).toString('base64')

describe('a leak', () => {
  it.each([
    ['as it is', `Authorization: Bearer ${secret.value}`],
    ['in a URL', `https://app.example/?token=${encodeURIComponent(secret.value)}`],
    ['in a form', new URLSearchParams({ token: secret.value }).toString()],
    ['in JSON', JSON.stringify({ token: secret.value })],
    ['in base64', base64(secret.value)],
    ['in base64 after one byte', base64(`:${secret.value}`)],
    ['in base64 between others', base64(`id:${secret.value}:rest`)],
    ['in base64url', Buffer.from(`abc${secret.value}`).toString('base64url')],
    ['in hexadecimal', Buffer.from(secret.value).toString('hex')],
    ['in the cause of an error', everythingIn(new Error('no', { cause: new Error(secret.value) }))],
  ])('is found %s', (_form, text) => {
    expect(leaks([{ where: 'here', text }], [secret])).toEqual(['access token in here'])
  })

  it('is not what belongs to the place, nor another secret of the same role', () => {
    const exposed = [
      { where: 'address', text: secret.value, allowed: ['access token'] },
      { where: 'page', text: canary('access-token') },
    ]
    expect(leaks(exposed, [secret])).toEqual([])
  })
})
