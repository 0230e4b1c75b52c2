/** The modules of the Config RP plan, by name: metadata, keys and their rotation. */
import { authorizationResponse } from '../authorization.js'
import { metadata } from '../discovery.js'
import { idToken } from '../id-token.js'
import { rotateKeys } from '../provider.js'
import type { Steps } from '../provider.js'
import { basicModules } from './modules-basic.js'

export const configModules = {
  'oidcc-client-test-discovery-openid-config': {},
  'oidcc-client-test-discovery-jwks-uri-keys': {},
  'oidcc-client-test-discovery-issuer-mismatch': {
    metadata: (op) => ({ ...metadata(op), issuer: `${op.issuer}INVALID` }),
  },
  'oidcc-client-test-idtoken-sig-none': basicModules['oidcc-client-test-idtoken-sig-none'],
  'oidcc-client-test-signing-key-rotation-just-before-signing': {
    idToken: async (op, authorization) => {
      await rotateKeys(op)
      return idToken(op, authorization)
    },
  },
  'oidcc-client-test-signing-key-rotation': {
    authorizationResponse: async (op, authorization) => {
      if (op.authorizations.size > 1) await rotateKeys(op)
      return authorizationResponse(op, authorization)
    },
  },
} satisfies Record<string, Partial<Steps>>
