/** An issuer of API tokens whose key set can be had, or not, and an API that asks it. */
import { sign, KeyObject } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import express from 'express'
import { getAuth, oauthBearer, requireLogin, type OAuthBearerOptions } from 'express-oauth-kit'
import { json, send, type Answer } from '../../support/faulty-server/answer.js'
import { newSigningKey, type SigningKey } from '../../support/faulty-server/signing-key.js'
import { listening, stopped } from '../../support/listening.js'

const audience = 'https://api.example.com'

export interface KeyServer {
  readonly url: string
  /** Published; the first signs. */
  keys: SigningKey[]
  /** In place of the keys; nothing when all is well. */
  fault: Answer | undefined
  /** Times that the keys were asked for. */
  readonly fetches: number
  /** A token of `key` that lives so many seconds. */
  token(key?: SigningKey, life?: number): string
  close(): Promise<void>
}

export async function startKeyServer(): Promise<KeyServer> {
  let fetches = 0
  let serial = 0
  const server = createServer((_request, response) => {
    fetches += 1
    const keys = keyServer.keys.map(({ publicJwk }) => publicJwk)
    send(response, keyServer.fault ?? json({ keys }, 200, { 'cache-control': 'max-age=600' }))
  })
  const keyServer: KeyServer = {
    url: await listening(server),
    keys: [await newSigningKey()],
    fault: undefined,
    get fetches() {
      return fetches
    },
    token(key = keyServer.keys[0], life = 300) {
      if (!key) throw new Error('the server has no key')
      const iat = Math.floor(Date.now() / 1_000)
      serial += 1
      const claims = {
        iss: keyServer.url,
        aud: audience,
        sub: 'somebody',
        client_id: 'client-1',
        jti: String(serial),
        iat,
        exp: iat + life,
      }
      const input = [{ alg: key.alg, kid: key.kid, typ: 'at+jwt' }, claims]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.')
      return `${input}.${sign('sha256', Buffer.from(input), KeyObject.from(key.privateKey)).toString('base64url')}`
    },
    close: async () => closed(server),
  }
  return keyServer
}

export interface GuardedApi {
  readonly url: string
  close(): Promise<void>
}

export async function startApi(
  { url }: Pick<KeyServer, 'url'>,
  options: Partial<OAuthBearerOptions> = {},
): Promise<GuardedApi> {
  const app = express()
  app.use(
    oauthBearer({
      issuer: url,
      audience,
      jwksUri: `${url}/keys`,
      timeout: 1,
      onEvent: () => undefined,
      ...options,
    } as OAuthBearerOptions),
  )
  app.get('/', requireLogin(), (req, res) => void res.send(getAuth(req).subject))
  const server = createServer(app)
  return { url: await listening(server), close: async () => closed(server) }
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections()
  await stopped(server)
}
