/** The modules of the Basic RP plan and how each has to end. */
import type { Page } from '../support/browser.js'
import { canary } from '../support/canaries.js'
import type { FaultName } from '../support/faulty-server.js'
import { startRun, type AppSetup, type LoginRun, type LoginSetup } from './login-run.js'
import { refused, signedIn } from './outcome.js'

export interface Module {
  readonly name: FaultName
  readonly outcome: unknown
  readonly setup?: LoginSetup
  /** Claims that the guarded page has to show. */
  readonly claims?: Readonly<Record<string, unknown>>
}

export interface ModuleRun {
  readonly run: LoginRun
  readonly page: Page
  readonly claims: unknown
}

export const basicModules: readonly Module[] = [
  { name: 'oidcc-client-test', outcome: signedIn() },
  { name: 'oidcc-client-test-invalid-iss', outcome: refused() },
  { name: 'oidcc-client-test-missing-sub', outcome: refused() },
  { name: 'oidcc-client-test-invalid-aud', outcome: refused() },
  { name: 'oidcc-client-test-missing-iat', outcome: refused() },
  { name: 'oidcc-client-test-kid-absent-single-jwks', outcome: signedIn() },
  { name: 'oidcc-client-test-kid-absent-multiple-jwks', outcome: signedIn() },
  { name: 'oidcc-client-test-idtoken-sig-rs256', outcome: signedIn() },
  { name: 'oidcc-client-test-idtoken-sig-none', outcome: refused() },
  { name: 'oidcc-client-test-invalid-sig-rs256', outcome: refused() },
  { name: 'oidcc-client-test-userinfo-invalid-sub', outcome: refused({ userinfoRequests: 1 }) },
  { name: 'oidcc-client-test-nonce-invalid', outcome: refused() },
  {
    name: 'oidcc-client-test-scope-userinfo-claims',
    outcome: signedIn(),
    setup: { app: { options: { scope: 'openid profile email phone address' } } },
    claims: {
      name: 'Demo User',
      email: 'demo@example.com',
      phone_number: '+1 555 0100',
      address: { country: 'Nowhere', locality: 'Demo Town' },
    },
  },
  {
    name: 'oidcc-client-test-client-secret-basic',
    outcome: signedIn(),
    setup: {
      server: {
        clientId: 'client:1 & others',
        clientSecret: `${canary('client-secret')} %:+/é`,
        clientAuthentication: 'client_secret_basic',
      },
    },
  },
]

/** Runs a module to its end: the run, the page the browser got, the claims it shows if somebody is signed in. */
export async function runModule({ name, setup = {} }: Module, app: AppSetup): Promise<ModuleRun> {
  const run = await startRun({
    server: { ...setup.server, fault: name },
    app: { ...app, options: { ...app.options, ...setup.app?.options } },
  })
  const page = await run.login()
  return { run, page, claims: page.status === 200 ? JSON.parse(page.body) : {} }
}
