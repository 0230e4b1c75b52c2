/** What stands around the app: the API and, unless ISSUER names another, the authorization server. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createApi } from './api.js'
import { createAuthorizationServer } from './authorization-server.js'
import type { ProviderClient, ProviderClients } from './connections/providers.js'
import type { DataFolder } from './data-folder.js'
import { createProviderServer } from './provider-server.js'
import { hotel } from './provider/hotel.js'
import { projectsEu } from './provider/projects-eu.js'
import type { Service } from './provider/service.js'
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

/** The two services whose accounts can be connected. `folder` is where they keep what they granted. */
export async function startProviders(
  settings: Settings,
  clients: ProviderClients,
  folder: DataFolder | undefined,
): Promise<Server[]> {
  const { projectsEuPort, hotelPort, baseUrl } = settings
  const server = (service: Service, name: string, { url, clientId, clientSecret }: ProviderClient) =>
    createProviderServer({
      service,
      issuer: url,
      folder,
      client: {
        client_id: clientId,
        client_secret: clientSecret,
        client_name: 'Projects',
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [`${baseUrl}/connections/${name}/callback`],
      },
    })
  return [
    await listen('PROJECTS_EU_PORT', projectsEuPort, server(projectsEu, 'projects', clients.projects)),
    await listen('HOTEL_PORT', hotelPort, server(hotel, 'hotel', clients.hotel)),
  ]
}

/** Who the app is at them. The secrets are new at each start: what was granted is bound to the client's id alone. */
export function providerClients({ projectsEuPort, hotelPort }: Settings): ProviderClients {
  const client = (port: number): ProviderClient => ({
    url: `http://localhost:${port}`,
    clientId: 'projects',
    clientSecret: randomBytes(32).toString('base64url'),
  })
  return { projects: client(projectsEuPort), hotel: client(hotelPort) }
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

/** What both ways to start the demo print. `addition` is what one of them has more, `providers` where people can connect accounts. */
export function greeting(settings: Settings, addition: string, providers: readonly string[] = []): string {
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
${providers.length > 0 ? `  Providers to connect  ${providers.join('   ')}\n` : ''}${servesIssuer ? users : ''}
${addition}
  Stop with Ctrl+C.
`
}
