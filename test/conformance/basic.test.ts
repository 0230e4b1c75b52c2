/** The Basic RP plan against our own faulty server: code flow, client_secret_basic. */
import { describe, expect, it } from 'vitest'
import { frameworks, storages } from '../support/app.js'
import { basicModules, runModule } from './basic-modules.js'
import { outcome } from './outcome.js'

const apps = frameworks.flatMap((framework) => storages.map((storage) => ({ framework, storage })))

describe.each(apps)('Basic RP on $framework with storage $storage', (app) => {
  it.each(basicModules.map((module) => [module.name, module] as const))('%s', async (_name, module) => {
    const { run, page, claims } = await runModule(module, app)
    expect(await outcome(run, page)).toEqual(module.outcome)
    expect(claims).toMatchObject(module.claims ?? {})
  })
})
