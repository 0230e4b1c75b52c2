import { describe, expect, test } from 'vitest'
import { isScopeToken, parseScope, scopesIn, sharedScopesIn } from '../../lib/oauth/scope.js'

test('a scope is parsed into its words, each once and in its order', () => {
  expect(parseScope('openid offline_access read:projects write:projects')).toEqual([
    'openid',
    'offline_access',
    'read:projects',
    'write:projects',
  ])
  expect(parseScope('b a b')).toEqual(['b', 'a'])
  expect(parseScope('identity:account-users.read https://api.example/x')).toEqual([
    'identity:account-users.read',
    'https://api.example/x',
  ])
})

test('case matters', () => {
  expect(parseScope('read READ')).toEqual(['read', 'READ'])
})

test.each(
  [['', 'two  spaces', ' before', 'after ', 'a\tb', 'a\nb', 'a\u00a0b', 'a"b', 'a\\b', 'a\u007f', '\u00e9']]
    .flat()
    .map((text) => [text]),
)('%j is not a list of scopes', (text) => {
  expect(parseScope(text)).toBeUndefined()
})

test('a comma is a character like any other, so a comma list is one word', () => {
  expect(parseScope('read,write')).toEqual(['read,write'])
})

describe('scopes as servers send them', () => {
  test.each<[unknown, string[]]>([
    ['a b', ['a', 'b']],
    [' a  b ', ['a', 'b']],
    ['a a', ['a']],
    [
      ['a', 'b', 'a'],
      ['a', 'b'],
    ],
    [['a b'], []],
    [['a', 7, null, '', ['b'], 'c"'], ['a']],
    ['', []],
    [undefined, []],
    [null, []],
    [7, []],
    [{ a: true }, []],
    ['a\tb', []],
  ])('%j', (value, scopes) => {
    expect(scopesIn(value)).toEqual(scopes)
  })
})

describe('scopes that last', () => {
  test('are one list for all tokens that say the same, and for no other', () => {
    const list = sharedScopesIn('read:a read:b')
    expect(list).toEqual(['read:a', 'read:b'])
    expect(sharedScopesIn(['read:a', 'read:b'].join(' '))).toBe(list)
    expect(sharedScopesIn('read:b read:a')).toEqual(['read:b', 'read:a'])
    expect(sharedScopesIn('READ:A read:b')).toEqual(['READ:A', 'read:b'])
  })

  test.each([['a b'], [['a', 'b']], [undefined], ['x'.repeat(1_001)]])('%j cannot be changed', (value) => {
    const list = sharedScopesIn(value)
    expect(list).toEqual(scopesIn(value))
    expect(Object.isFrozen(list)).toBe(true)
  })

  test('are forgotten when there are too many, or when they are too long', () => {
    const list = sharedScopesIn('once')
    for (let index = 0; index < 1_000; index += 1) sharedScopesIn(`other:${index}`)
    expect(sharedScopesIn('once')).not.toBe(list)
    const long = 'x'.repeat(1_001)
    expect(sharedScopesIn(long)).not.toBe(sharedScopesIn(long))
  })
})

test('a scope token has printable ASCII without space, quote and backslash', () => {
  for (let code = 0; code < 0x180; code++) {
    const expected = code > 0x20 && code < 0x7f && code !== 0x22 && code !== 0x5c
    expect([code, isScopeToken(String.fromCharCode(code))]).toEqual([code, expected])
  }
  for (const value of [undefined, null, 7, ['a'], '']) expect(isScopeToken(value)).toBe(false)
})
