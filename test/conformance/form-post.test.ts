/** The Form Post RP plan against our own faulty server: the answer comes as a POST from another site. */
import { describe, expect, it } from 'vitest'
import { storages } from '../support/app.js'
import { basicModules, runModule } from './basic-modules.js'
import { startRun, type LoginRun } from './login-run.js'
import { outcome, refused } from './outcome.js'

const formPost = { responseMode: 'form_post' } as const

describe.each(storages)('Form Post RP with storage "%s"', (storage) => {
  it.each(basicModules.map((module) => [module.name, module] as const))('%s', async (_name, module) => {
    const { run, page, claims } = await runModule(module, { storage, options: formPost })
    expect(callbacks(run)).toEqual(['cross-site POST'])
    expect(await outcome(run, page)).toEqual(module.outcome)
    expect(claims).toMatchObject(module.claims ?? {})
  })

  it('oidcc-client-test-form-post-error', async () => {
    const run = await startRun({
      server: { fault: 'oidcc-client-test-form-post-error' },
      app: { storage, options: { ...formPost, authorizationParameters: { max_age: 0, prompt: 'none' } } },
    })
    const page = await run.login()
    expect(callbacks(run)).toEqual(['cross-site POST'])
    expect(await outcome(run, page)).toEqual(refused({ tokenRequests: 0 }))
  })
})

/** How the answers came to the callback. */
function callbacks({ app, browser }: LoginRun): string[] {
  return browser.responses
    .filter(({ url }) => url.startsWith(app.callbackUrl))
    .map(({ method, requestHeaders }) => `${requestHeaders['sec-fetch-site']} ${method}`)
}
