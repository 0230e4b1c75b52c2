/** Starts the demo: the app, the API and, unless ISSUER names another, the authorization server. */

import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { isOAuthError } from 'express-oauth-kit'
import { createApi } from './api.js'
import { createApp } from './app.js'
import { createAuthorizationServer } from './authorization-server.js'
import { readSettings, SettingsError, type Settings } from './settings.js'

try {
  if (existsSync('.env')) process.loadEnvFile('.env')
  await start(readSettings(process.env))
} catch (error) {
  console.error(error instanceof SettingsError || isOAuthError(error) ? error.message : error)
  process.exit(1)
}

async function start(settings: Settings): Promise<void> {
  const { port, apiPort, authorizationServerPort, servesIssuer, servesApi } = settings
  const servers: Server[] = []
  if (servesIssuer) {
    servers.push(await listen('AS_PORT', authorizationServerPort, authorizationServer(settings)))
  }
  if (servesApi) servers.push(await listen('API_PORT', apiPort, createApi(settings)))
  servers.push(await listen('PORT', port, createApp(settings)))

  const stop = () => {
    for (const server of servers) {
      server.close()
      server.closeAllConnections()
    }
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  console.log(greeting(settings))
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
async function listen(variable: string, port: number, listener: RequestListener): Promise<Server> {
  const server = createServer(listener).listen(port, 'localhost')
  try {
    await once(server, 'listening')
  } catch (cause) {
    const reason = Object(cause).code === 'EADDRINUSE' ? 'is in use' : `cannot be used (${String(cause)})`
    const advice = `Choose another with ${variable}, for example: ${variable}=${port + 10} npm start`
    throw new SettingsError(`Port ${port} ${reason}. ${advice}`, { cause })
  }
  return server
}

function greeting({ baseUrl, apiUrl, issuer, servesIssuer, servesApi, storage }: Settings): string {
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
  Tokens are kept in ${storage === 'cookie' ? 'sealed cookies' : 'the session store'} (STORAGE=${storage}). Everything else is in memory.
  Stop with Ctrl+C.
`
}
