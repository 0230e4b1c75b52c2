/**
 * Every fault by name. A fault is data: the steps of the correct server that it replaces (see `Steps`). A new one is an
 * entry in the file of its kind; it can call the correct step and change what that gives.
 */
import { authorizationFaults } from './faults/authorization-response.js'
import { clientCredentialsFaults } from './faults/client-credentials.js'
import { discoveryFaults } from './faults/discovery.js'
import { idTokenFaults } from './faults/id-token.js'
import { introspectionFaults } from './faults/introspection.js'
import { basicModules } from './faults/modules-basic.js'
import { configModules } from './faults/modules-config.js'
import { formPostModules } from './faults/modules-form-post.js'
import { logoutTokenFaults } from './faults/logout-token.js'
import { logoutModules } from './faults/modules-logout.js'
import { tokenFaults } from './faults/token-endpoint.js'
import type { Steps } from './provider.js'

export type Fault = Partial<Steps>

export const faults = {
  ...basicModules,
  ...configModules,
  ...formPostModules,
  ...logoutModules,
  ...authorizationFaults,
  ...idTokenFaults,
  ...tokenFaults,
  ...clientCredentialsFaults,
  ...introspectionFaults,
  ...discoveryFaults,
  ...logoutTokenFaults,
} satisfies Record<string, Fault>

export type FaultName = keyof typeof faults
