import { describe, expect, it } from 'vitest'
import { frameworks, storages } from '../support/app.js'
import { proxiedApi } from './proxied.js'

describe('a request below the prefix', () => {
  it.each(frameworks)('reaches the API with the token of the user: %s', async (framework) => {
    for (const storage of storages) {
      const { send, api, server } = await proxiedApi({}, { framework, storage })
      api.answer = () => ({
        status: 201,
        headers: { 'content-type': 'text/plain', 'x-own': 'yes' },
        body: 'made',
      })
      const answer = await send('/api/projects?page=2&q=%2e%2e', { method: 'POST', body: '{"name":"a"}' })
      expect(answer).toMatchObject({ status: 201, body: 'made', headers: { 'x-own': 'yes' } })
      expect(api.requests).toMatchObject([
        { method: 'POST', path: '/v1/projects?page=2&q=%2e%2e', body: '{"name":"a"}' },
      ])
      const token = server.secrets.findLast(({ role }) => role === 'access token')?.value
      expect(api.tokens).toEqual([token])
    }
  })
})
