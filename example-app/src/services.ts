/** What stands around the app: the API and, unless ISSUER names another, the authorization server. */

import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createApi } from './api.js'
import { createAuthorizationServer } from './authorization-server.js'
import { SettingsError, type Settings } from './settings.js'

export async function startServices(settings: Settings): Promise<Server[]> {
  const { apiPort, authorizationServerPort, servesIssuer, servesApi } = settings
  const servers: Server[] = []
  if (servesIssuer) {
    servers.push(await listen('AS_PORT', authorizationServerPort, authorizationServer(settings)))
  }
  if (servesApi) servers.push(await listen('API_PORT', apiPort, createApi(settings)))
  return servers
}

function authorizationServer({
  issuer,
  apiUrl,
  baseUrl,
  clientId,
  clientSecret,
  resource,
}: Settings): RequestListener {
  const app = {
    client_id: clientId,
    ...(clientSecret !== undefined && { client_secret: clientSecret }),
    client_name: 'Projects',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [`${baseUrl}/callback`],
    post_logout_redirect_uris: [baseUrl, `${baseUrl}/`],
    backchannel_logout_uri: `${baseUrl}/backchannel-logout`,
    backchannel_logout_session_required: true,
  }
  return createAuthorizationServer({ issuer, apiUrl: resource ?? apiUrl, clients: [app] })
}

/** `variable` is the one that chooses the port. */
export async function listen(variable: string, port: number, listener: RequestListener): Promise<Server> {
  const server = createServer(listener).listen(port, 'localhost')
  try {
    await once(server, 'listening')
  } catch (cause) {
    const reason = Object(cause).code === 'EADDRINUSE' ? 'is in use' : `cannot be used (${String(cause)})`
    const advice = `Choose another by putting ${variable}=${port + 10} in front of the command.`
    throw new SettingsError(`Port ${port} ${reason}. ${advice}`, { cause })
  }
  return server
}

export function close(servers: readonly Server[]): void {
  for (const server of servers) {
    server.close()
    server.closeAllConnections()
  }
}

/** What both ways to start the demo print. `addition` is what one of them has more. */
export function greeting(settings: Settings, addition: string): string {
  const { baseUrl, apiUrl, issuer, servesIssuer, servesApi } = settings
  const elsewhere = '   (not started here)'
  const users = `
  Sign in as  alice   password alice   may do everything
          or  bob     password bob     has no admin rights
`
  return `
  Projects, the demo of express-oauth-kit

  App                   ${baseUrl}   ← open this
  API                   ${apiUrl}${servesApi ? '' : elsewhere}
  Authorization server  ${issuer}${servesIssuer ? '' : elsewhere}
${servesIssuer ? users : ''}
${addition}
  Stop with Ctrl+C.
`
}
