/** The steps of a correct server. */
import { answerAuthorization, authorizationComplaints, authorizationResponse } from './authorization.js'
import { clientComplaints } from './client-authentication.js'
import { answerDiscovery, metadata } from './discovery.js'
import { answerEndSession, endSessionComplaints } from './end-session.js'
import { idToken, idTokenClaims, idTokenHeader } from './id-token.js'
import { answerIntrospection, introspectionResponse } from './introspection.js'
import { answerJwks, jwks } from './jwks.js'
import type { Steps } from './provider.js'
import { logoutToken, logoutTokenClaims, logoutTokenHeader } from './logout-token.js'
import { answerRevocation } from './revocation.js'
import { answerToken, grants, proofRefusal, tokenResponse } from './token.js'
import { answerUserinfo, userinfo } from './userinfo.js'

export const correctSteps: Steps = {
  metadata,
  answerDiscovery,
  jwks,
  answerJwks,
  authorizationComplaints,
  authorizationResponse,
  answerAuthorization,
  clientComplaints,
  grants,
  proofRefusal,
  tokenResponse,
  answerToken,
  answerRevocation,
  introspection: introspectionResponse,
  answerIntrospection,
  idTokenHeader,
  idTokenClaims,
  idToken,
  userinfo,
  answerUserinfo,
  endSessionComplaints,
  logoutTokenHeader,
  logoutTokenClaims,
  logoutToken,
  answerEndSession,
}
