/**
 * Types `req.auth` in handlers: `import 'express-oauth-kit/augment'`. It is apart because two packages that both
 * declare `Request.auth` do not compile together; `getAuth(req)` needs no declaration.
 */

import type { OAuthError } from './errors.js'
import type { Auth } from './middleware/auth.js'

declare global {
  // oxlint-disable-next-line typescript/no-namespace -- the only way to add to Express's types
  namespace Express {
    interface Request {
      readonly auth?: Auth
      /** Why nobody is there although a token came: of `oauthBearer` with the mode `attempt`. */
      readonly authError?: OAuthError | undefined
    }
  }
}
