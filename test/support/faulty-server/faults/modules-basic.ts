/** The modules of the Basic RP plan, by name: one fault in the ID token, the keys or userinfo. */
import { UnsecuredJWT, type JWK } from 'jose'
import { scopes, authorizationComplaints } from '../authorization.js'
import { idToken, idTokenClaims } from '../id-token.js'
import type { Authorization, Provider } from '../provider.js'
import { newSigningKey, type SigningKey } from '../signing-key.js'
import type { Steps } from '../provider.js'
import { userinfo } from '../userinfo.js'

export const basicModules = {
  'oidcc-client-test': {},
  'oidcc-client-test-invalid-iss': withClaims((op) => ({ iss: `${op.issuer}1` })),
  'oidcc-client-test-missing-sub': withClaims(() => ({ sub: undefined })),
  'oidcc-client-test-invalid-aud': withClaims((op) => ({ aud: `${op.client.id}1` })),
  'oidcc-client-test-missing-iat': withClaims(() => ({ iat: undefined })),
  'oidcc-client-test-kid-absent-single-jwks': withoutKid(),
  'oidcc-client-test-kid-absent-multiple-jwks': {
    ...withoutKid(),
    jwks: async (op) => {
      const decoys = await Promise.all([newSigningKey(), newSigningKey()])
      return [...decoys, ...op.keys].map((key) => jwkWithoutKid(key))
    },
  },
  'oidcc-client-test-idtoken-sig-rs256': {},
  'oidcc-client-test-idtoken-sig-none': {
    idToken: async (op, authorization) =>
      new UnsecuredJWT(await op.steps.idTokenClaims(op, authorization)).encode(),
  },
  'oidcc-client-test-invalid-sig-rs256': {
    idToken: async (op, authorization) => withBrokenSignature(await idToken(op, authorization)),
  },
  'oidcc-client-test-userinfo-invalid-sub': {
    userinfo: (op, authorization) => ({
      ...userinfo(op, authorization),
      sub: `${authorization.subject}invalid`,
    }),
  },
  'oidcc-client-test-nonce-invalid': withClaims((_op, { parameters }) => ({
    nonce: `${parameters.get('nonce')}1`,
  })),
  'oidcc-client-test-scope-userinfo-claims': {
    authorizationComplaints: (op, parameters) => [
      ...authorizationComplaints(op, parameters),
      ...['profile', 'email', 'phone', 'address']
        .filter((scope) => !scopes(parameters).includes(scope))
        .map((scope) => `authorization request: scope lacks ${scope}`),
    ],
  },
  'oidcc-client-test-client-secret-basic': {},
} satisfies Record<string, Partial<Steps>>

/** A fault that changes claims of the ID token; `undefined` removes one. */
export function withClaims(
  change: (op: Provider, authorization: Authorization) => Record<string, unknown>,
): Pick<Steps, 'idTokenClaims'> {
  return {
    idTokenClaims: (op, authorization) => ({
      ...idTokenClaims(op, authorization),
      ...change(op, authorization),
    }),
  }
}

function withoutKid(): Pick<Steps, 'idTokenHeader' | 'jwks'> {
  return {
    idTokenHeader: () => ({ alg: 'RS256' }),
    jwks: (op) => op.keys.map((key) => jwkWithoutKid(key)),
  }
}

function jwkWithoutKid({ publicJwk: { kid: _kid, ...jwk } }: SigningKey): JWK {
  return jwk
}

function withBrokenSignature(jwt: string): string {
  const [header, payload, signature = ''] = jwt.split('.')
  const bytes = Buffer.from(signature, 'base64url')
  bytes[10] = (bytes[10] ?? 0) ^ 1
  return [header, payload, bytes.toString('base64url')].join('.')
}
