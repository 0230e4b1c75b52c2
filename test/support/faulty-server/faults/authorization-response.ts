/** Faults of the authorization response: `iss`, `state`, repeated parameters, errors. */
import { randomBytes } from 'node:crypto'
import { authorizationError, authorizationResponse } from '../authorization.js'
import type { Steps } from '../provider.js'

type Response = Pick<Steps, 'authorizationResponse'>

/** Markup, another character set and line breaks, long enough to fill a page. */
const hostileDescription =
  `<script>alert(1)</script>"><svg/onload=alert(2)>+ADw-script+AD4-\r\nX-Injected: yes\r\n\r\n` +
  '<img src=x onerror=alert(3)>'.repeat(40)

export const authorizationFaults = {
  'authorization-iss-missing': withChange((response) => response.delete('iss')),
  'authorization-iss-wrong': withChange((response) => response.set('iss', `${response.get('iss')}1`)),
  'state-missing': withChange((response) => response.delete('state')),
  'state-empty': withChange((response) => response.set('state', '')),
  'state-wrong': withChange((response) => response.set('state', changed(response.get('state') ?? ''))),
  'state-of-another-login': withChange((response) =>
    response.set('state', randomBytes(16).toString('base64url')),
  ),
  'state-malformed': withChange((response) => response.set('state', '"><script>alert(1)</script>')),
  'code-missing': withChange((response) => response.delete('code')),
  'code-empty': withChange((response) => response.set('code', '')),
  'code-repeated': withRepeated('code'),
  'state-repeated': withRepeated('state'),
  'iss-repeated': withRepeated('iss'),
  'code-and-error': withChange((response) => response.set('error', 'access_denied')),
  'error-access-denied': withError('access_denied', 'the user said no'),
  'error-login-required': withError('login_required', 'nobody is signed in'),
  'error-server-error': withError('server_error', 'out of order'),
  'error-temporarily-unavailable': withError('temporarily_unavailable', 'come back later'),
  'error-hostile-description': withError('access_denied', hostileDescription),
  'error-hostile-code': withError('"><script>alert(1)</script>', 'none'),
  'error-repeated': withChange((response) => {
    response.delete('code')
    response.append('error', 'access_denied')
    response.append('error', 'server_error')
  }),
} satisfies Record<string, Response>

function withChange(change: (response: URLSearchParams) => void): Response {
  return {
    authorizationResponse: (op, authorization) => {
      const response = authorizationResponse(op, authorization)
      change(response)
      return response
    },
  }
}

function withRepeated(name: string): Response {
  return withChange((response) => response.append(name, response.get(name) ?? ''))
}

function withError(error: string, description: string): Response {
  return {
    authorizationResponse: (op, authorization) => authorizationError(op, authorization, error, description),
  }
}

/** As well-formed as before, and alike but for its end. */
function changed(value: string): string {
  return value.slice(0, -1) + (value.endsWith('A') ? 'B' : 'A')
}
