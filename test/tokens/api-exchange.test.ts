import { describe, expect, test } from 'vitest'
import type { DPoPAnswer } from '../../lib/oauth/dpop-answer.js'
import { exchanged, type ApiExchange, type RequestTokens } from '../../lib/tokens/api-exchange.js'
import type { ApiToken } from '../../lib/tokens/api-token.js'

interface Said extends DPoPAnswer {
  readonly name: string
}

const refused = (name: string): Said => ({ name, status: 401, nonce: undefined, challenge: undefined })
const demanding = (name: string): Said => ({ ...refused(name), nonce: name, challenge: 'use_dpop_nonce' })
const good = (name: string): Said => ({ ...refused(name), status: 200 })

/** An exchange with an API that says this, and what happens in it, in order. */
async function scene(
  answers: readonly Said[],
  options: { others?: number; isRepeatable?: () => boolean } = {},
) {
  const { others = Number.POSITIVE_INFINITY, isRepeatable = () => true } = options
  const story: string[] = []
  const tokenNamed = (name: string): ApiToken => ({
    access_token: name,
    headers: () => ({ authorization: name }),
    wantsAnotherProof(_request, answer) {
      story.push(`${name} is told ${(answer as Said).name}`)
      return answer.challenge !== undefined
    },
  })
  let made = 1
  const tokens: RequestTokens = {
    token: async () => tokenNamed('token 1'),
    inPlaceOf: async ({ access_token }) => {
      story.push(`instead of ${access_token}`)
      return made++ <= others ? tokenNamed(`token ${made}`) : undefined
    },
  }
  let sent = 0
  const exchange: ApiExchange<Said> = {
    request: { method: 'GET', url: 'https://api.example.com/' },
    async send({ authorization }) {
      story.push(`send ${authorization}`)
      const answer = answers[sent++]
      if (!answer) throw new Error(`sent too often: ${story.join(', ')}`)
      return answer
    },
    said: (answer) => answer,
    isRepeatable,
    discard: (answer) => void story.push(`discard ${answer.name}`),
  }
  const { name } = await exchanged(await tokens.token(), tokens, exchange)
  return [...story, `take ${name}`]
}

describe('T114 a request', () => {
  test('that is granted is one', async () => {
    expect(await scene([good('a')])).toEqual(['send token 1', 'token 1 is told a', 'take a'])
  })

  test('whose token is refused goes out with another, and the refusal is let go first', async () => {
    expect(await scene([refused('a'), good('b')])).toEqual([
      'send token 1',
      'token 1 is told a',
      'instead of token 1',
      'discard a',
      'send token 2',
      'token 2 is told b',
      'take b',
    ])
  })

  test('whose every token is refused goes out twice, however many there were', async () => {
    const story = await scene([refused('a'), refused('b')])
    expect(story.filter((what) => what.startsWith('send'))).toEqual(['send token 1', 'send token 2'])
    expect(story.at(-1)).toBe('take b')
    expect(story).not.toContain('instead of token 2')
  })

  test('for which there is no other token keeps its refusal whole', async () => {
    const story = await scene([refused('a')], { others: 0 })
    expect(story).toEqual(['send token 1', 'token 1 is told a', 'instead of token 1', 'take a'])
  })

  test('that cannot be sent again has another token fetched all the same', async () => {
    const story = await scene([refused('a')], { isRepeatable: () => false })
    expect(story).toEqual(['send token 1', 'token 1 is told a', 'instead of token 1', 'take a'])
  })
})

describe('T76 a request whose proof lacks a nonce', () => {
  test('goes out with another proof of the same token, and both answers are heard', async () => {
    expect(await scene([demanding('a'), good('b')])).toEqual([
      'send token 1',
      'token 1 is told a',
      'discard a',
      'send token 1',
      'token 1 is told b',
      'take b',
    ])
  })

  test('and lacks another one then costs no other token', async () => {
    const story = await scene([demanding('a'), demanding('b')])
    expect(story).toEqual([
      'send token 1',
      'token 1 is told a',
      'discard a',
      'send token 1',
      'token 1 is told b',
      'take b',
    ])
  })

  test('and whose token is refused then goes out with another, three times in all', async () => {
    const story = await scene([demanding('a'), refused('b'), good('c')])
    expect(story.filter((what) => !what.includes('told'))).toEqual([
      'send token 1',
      'discard a',
      'send token 1',
      'instead of token 1',
      'discard b',
      'send token 2',
      'take c',
    ])
  })

  test('and that cannot be sent again keeps its refusal, without another token', async () => {
    const story = await scene([demanding('a')], { isRepeatable: () => false })
    expect(story).toEqual(['send token 1', 'token 1 is told a', 'take a'])
  })
})
