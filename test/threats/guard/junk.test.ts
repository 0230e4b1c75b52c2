/** Tokens that are made to cost time. */
import { expect, test } from 'vitest'
import { guardedApi } from './api.js'

test('T106 more lists and objects than a token has are not read, however they are arranged', async () => {
  const { api, issuer } = await guardedApi()
  const nested = (depth: number): unknown => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`) as unknown
  const empty = (count: number) => Array.from({ length: count }, () => ({}))
  expect(await api.verdict(issuer.token({ x: nested(900) }))).toBe('200')
  expect(await api.verdict(issuer.token({ x: empty(900) }))).toBe('200')
  expect(await api.verdict(issuer.token({ x: nested(1_001) }))).toBe('401 not_a_jwt')
  expect(await api.verdict(issuer.token({ x: empty(1_001) }))).toBe('401 not_a_jwt')
  expect(await api.verdict(issuer.token({ x: ']'.repeat(600), y: nested(1_001) }))).toBe('401 not_a_jwt')
  expect(await api.verdict(issuer.token({}, { x: nested(1_001) }))).toBe('401 not_a_jwt')
})
