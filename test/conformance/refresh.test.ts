/** The refresh-token modules: `oidcc-client-refreshtoken-test-plan`. */
import { describe, expect, test } from 'vitest'
import { getAuth } from '../../lib/index.js'
import { storages } from '../support/app.js'
import { idTokenClaims } from '../support/faulty-server/id-token.js'
import type { Steps } from '../support/faulty-server/provider.js'
import { startStage } from '../support/stage.js'

/** A page that refreshes, then calls userinfo with what it got. */
async function refreshed(storage: (typeof storages)[number], fault: Partial<Steps>) {
  const stage = await startStage({
    storage,
    routes: ({ get }) =>
      get('/refresh', async (req, res) => {
        const accessToken = await getAuth(req)
          .accessToken({ forceRefresh: true })
          .catch((error: { code: string }) => {
            res.statusCode = 400
            res.end(error.code)
            return undefined
          })
        if (accessToken === undefined) return
        await fetch(`${stage.server.issuer}/userinfo`, {
          headers: { authorization: `Bearer ${accessToken}` },
        })
        res.end('refreshed')
      }),
  })
  const browser = await stage.signedIn()
  stage.server.misbehave(fault)
  const page = await browser.visit(`${stage.app.url}/refresh`)
  return { ...stage, browser, page }
}

const modules: Record<string, { fault: Partial<Steps>; answer: string; userinfoRequests: number }> = {
  'oidcc-client-test-refresh-token': { fault: {}, answer: 'refreshed', userinfoRequests: 1 },
  'oidcc-client-test-refresh-token-invalid-issuer': {
    fault: {
      idTokenClaims: (op, authorization) => ({ ...idTokenClaims(op, authorization), iss: `${op.issuer}1` }),
    },
    answer: 'invalid_id_token',
    userinfoRequests: 0,
  },
  'oidcc-client-test-refresh-token-invalid-sub': {
    fault: {
      idTokenClaims: (op, authorization) => ({
        ...idTokenClaims(op, authorization),
        sub: `${authorization.subject}1`,
      }),
    },
    answer: 'invalid_id_token',
    userinfoRequests: 0,
  },
}

describe.each(storages)('with storage "%s"', (storage) => {
  test.each(Object.entries(modules))('%s', async (_name, { fault, answer, userinfoRequests }) => {
    const { server, page, browser, app } = await refreshed(storage, fault)
    expect(page.body).toBe(answer)
    expect(server.counts).toMatchObject({ token: 2, userinfo: userinfoRequests })
    expect(server.complaints).toEqual([])
    const sent = server.requests
      .filter(({ endpoint }) => endpoint === 'userinfo')
      .map(({ headers }) => headers.authorization)
    const issued = server.secrets
      .filter(({ role }) => role === 'access token')
      .map(({ value }) => `Bearer ${value}`)
    expect(sent).toEqual(userinfoRequests === 0 ? [] : [issued.at(-1)])
    // A refused answer ends nothing: the session goes on with what it had.
    expect((await browser.visit(`${app.url}/private`)).url).toBe(`${app.url}/private`)
  })
})
