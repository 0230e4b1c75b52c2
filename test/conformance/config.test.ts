/** The Config RP plan against our own faulty server: metadata and keys are fetched, believed and refreshed. */
import { describe, expect, it } from 'vitest'
import { startRun } from './login-run.js'
import { outcome, refused, signedIn } from './outcome.js'

describe('Config RP', () => {
  it('oidcc-client-test-discovery-openid-config', async () => {
    const run = await startRun({ server: { fault: 'oidcc-client-test-discovery-openid-config' } })
    expect(await outcome(run, await run.login())).toEqual(signedIn())
    expect(run.server.counts).toMatchObject({ discovery: 1, unknown: 0 })
  })

  it('oidcc-client-test-discovery-jwks-uri-keys', async () => {
    const run = await startRun({ server: { fault: 'oidcc-client-test-discovery-jwks-uri-keys' } })
    expect(await outcome(run, await run.login())).toEqual(signedIn())
    const order = run.server.requests.map(({ endpoint }) => endpoint)
    expect(order.filter((endpoint) => endpoint === 'jwks' || endpoint === 'userinfo')).toEqual([
      'jwks',
      'userinfo',
    ])
  })

  it('oidcc-client-test-discovery-issuer-mismatch', async () => {
    const run = await startRun({ server: { fault: 'oidcc-client-test-discovery-issuer-mismatch' } })
    expect(await outcome(run, await run.login())).toEqual(refused({ status: 502, tokenRequests: 0 }))
    expect(run.server.counts.authorize).toBe(0)
  })

  it('oidcc-client-test-idtoken-sig-none', async () => {
    const run = await startRun({ server: { fault: 'oidcc-client-test-idtoken-sig-none' } })
    expect(await outcome(run, await run.login())).toEqual(refused())
  })

  it.each([
    'oidcc-client-test-signing-key-rotation-just-before-signing',
    'oidcc-client-test-signing-key-rotation',
  ] as const)('%s', async (fault) => {
    const run = await startRun({ server: { fault } })
    expect(await outcome(run, await run.login())).toEqual(signedIn())
    expect(await outcome(run, await run.login())).toEqual(signedIn({ tokenRequests: 2, userinfoRequests: 2 }))
    expect(run.server.counts.jwks).toBe(2)
  })
})
