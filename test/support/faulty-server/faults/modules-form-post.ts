/** What the Form Post RP plan adds to the Basic one: an error that comes by POST. */
import { authorizationComplaints, authorizationError, isForcedSilentLogin } from '../authorization.js'
import type { Steps } from '../provider.js'

export const formPostModules = {
  'oidcc-client-test-form-post-error': {
    authorizationComplaints: (op, parameters) => {
      const usual = authorizationComplaints(op, parameters)
      return isForcedSilentLogin(parameters)
        ? usual.filter((complaint) => !complaint.includes('max_age=0'))
        : [...usual, 'authorization request: max_age=0 and prompt=none are missing']
    },
    authorizationResponse: (op, authorization) =>
      authorizationError(op, authorization, 'login_required', '<b>nobody</b> is signed in'),
  },
} satisfies Record<string, Partial<Steps>>
