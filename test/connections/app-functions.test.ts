/** Functions of the app that read a provider's answers, and do not give what they should. */
import { describe, expect, test } from 'vitest'
import { accountReader } from '../../lib/connections/provider-account.js'
import type { ConnectionProvider } from '../../lib/index.js'
import { startConnecting } from '../support/connecting.js'
import { startLinked } from '../support/linked.js'
import { unhandledRejections } from '../support/unhandled-rejections.js'

const failing = () => Promise.reject(new Error('of the app')) as never

describe('a function that gives a promise which fails', () => {
  test.each<[string, Partial<ConnectionProvider>]>([
    ['accountId', { accountId: failing }],
    ['label', { accountId: () => 'a', label: failing }],
  ])('does not end the process: %s', async (_name, options) => {
    const { rejections } = await unhandledRejections(async () => {
      const reader = accountReader({ key: 'files', name: 'Files' }, options)
      try {
        reader.accountId({})
        reader.label({})
      } catch {
        // It is told by another test.
      }
    })
    expect(rejections).toEqual([])
  })

  test('does not end the process: judge', async () => {
    const { rejections } = await unhandledRejections(async () => {
      const { link } = await startLinked({
        provider: (url) => ({ test: { url: `${url}/me`, judge: failing } }),
      })
      await (await link('alice')).test().catch(() => undefined)
    })
    expect(rejections).toEqual([])
  })
})

describe('a judge that gives no verdict', () => {
  test.each<[unknown]>([[undefined], [null], [true], ['bad'], [Promise.resolve('refused')]])(
    '%j says nothing good of a connection',
    async (verdict) => {
      const { link, kept } = await startLinked({
        provider: (url) => ({ test: { url: `${url}/me`, judge: () => verdict as 'good' } }),
      })
      const connection = await link('alice', { status: 'needs_reconnect', reason: 'test_refused' })

      await expect(connection.test()).rejects.toMatchObject({
        code: 'invalid_configuration',
        reason: 'no_verdict',
      })
      expect(await kept(connection.id)).toMatchObject({ status: 'needs_reconnect' })
    },
  )
})

describe('a function "revokeToken" that fails with an error of its own', () => {
  test('is told, without what it threw, and the tokens stay for another try', async () => {
    const { link, kept, events } = await startLinked({
      provider: () => ({
        revokeToken: ({ token }) => {
          throw new TypeError(`no ${token}`)
        },
      }),
    })
    const connection = await link('alice')

    await connection.disconnect()

    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'revocation_failed',
        code: 'invalid_configuration',
        error: expect.objectContaining({
          message: 'the function "revokeToken" threw an error',
          reason: 'TypeError',
        }),
      }),
    )
    expect((await kept(connection.id))?.tokens).toBeDefined()
  })
})

test('a response that cannot be written goes to the error handler of the app, and does not end the process', async () => {
  const { rejections, result } = await unhandledRejections(async () => {
    let failures = 0
    const stage = await startConnecting({
      app: {
        before: [
          (request, response, next) => {
            const set = response.setHeader.bind(response)
            response.setHeader = (name, value) => {
              // The answer of the package; that of the error handler is written.
              if (request.url === '/connections/nobodys' && name === 'content-type' && failures++ < 1)
                throw new Error('of the app')
              return set(name, value)
            }
            next()
          },
        ],
      },
    })
    const alice = await stage.signedIn('alice')
    const { status } = await alice.fetch(`${stage.app.url}/connections/nobodys`, {
      headers: { 'x-csrf': '1' },
    })
    return { status, failures }
  })

  expect(result).toEqual({ status: 500, failures: 1 })
  expect(rejections).toEqual([])
})
