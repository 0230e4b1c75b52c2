/** Faults of the ID token beyond the modules: what was asked for and not given. */
import { tokenResponse } from '../token.js'
import { now } from '../provider.js'
import type { Steps } from '../provider.js'
import { withClaims } from './modules-basic.js'

export const idTokenFaults = {
  'id-token-missing': {
    tokenResponse: async (op, authorization) => {
      const { id_token: _, ...response } = await tokenResponse(op, authorization)
      return response
    },
  },
  'auth-time-old': withClaims(() => ({ auth_time: now() - 3600 })),
  'auth-time-missing': withClaims(() => ({ auth_time: undefined })),
  'acr-wrong': withClaims(() => ({ acr: 'less-than-asked' })),
  'id-token-expired': withClaims(() => ({ iat: now() - 660, exp: now() - 360 })),
} satisfies Record<string, Partial<Steps>>
