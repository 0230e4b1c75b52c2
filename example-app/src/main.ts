/** Starts the demo: the app, the API, two providers and, unless ISSUER names another, the authorization server. */

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { isOAuthError, memoryStore } from 'express-oauth-kit'
import { createApp } from './app.js'
import { openDatabase } from './connections/database.js'
import { keptSecret, openDataFolder } from './data-folder.js'
import { close, greeting, listen, providerClients, startProviders, startServices } from './services.js'
import { readSettings, SettingsError, type Settings } from './settings.js'

try {
  if (existsSync('.env')) process.loadEnvFile('.env')
  await start(readSettings(process.env))
} catch (error) {
  console.error(error instanceof SettingsError || isOAuthError(error) ? error.message : error)
  process.exit(1)
}

async function start(settings: Settings): Promise<void> {
  const { port, storage, dataFolder, databaseUrl } = settings
  const folder =
    dataFolder === undefined ? undefined : await openDataFolder(dataFolder, settings.projectsEuPort)
  const providers = providerClients(settings)
  const servers = [...(await startServices(settings)), ...(await startProviders(settings, providers, folder))]
  const databaseFolder = databaseUrl === undefined ? folder?.path('connections') : undefined
  const isFirstStart = databaseFolder !== undefined && !existsSync(databaseFolder)
  const database = openDatabase(databaseFolder, databaseUrl)
  // That fills the folder, for seconds in which this process could answer nobody in time. Later it takes a moment, for which
  // nobody waits: it is there before somebody has signed in.
  if (isFirstStart) {
    console.log(`  The folder ${dataFolder} is being made. That happens once.`)
    await database
  }
  const secret = folder ? keptSecret(folder, 'secret') : randomBytes(32).toString('base64url')
  // Whoever is signed in stays so over a restart, too.
  const isCookieSecretKept = folder !== undefined && !process.env['COOKIE_SECRET']
  const app = createApp({
    ...settings,
    ...(isCookieSecretKept && { secret: keptSecret(folder, 'cookie-secret') }),
    // Enough for one process. With several, see cluster.ts.
    store: memoryStore(),
    connections: { database, providers, secret },
  })
  servers.push(await listen('PORT', port, app))

  const stop = async () => {
    close(servers)
    await database.then((opened) => opened.close()).catch(() => undefined)
    folder?.release()
    process.exit()
  }
  process.once('SIGINT', () => void stop())
  process.once('SIGTERM', () => void stop())
  const place = storage === 'cookie' ? 'sealed cookies' : 'the session store'
  const kept =
    databaseUrl !== undefined
      ? 'in your PostgreSQL'
      : dataFolder !== undefined
        ? `in the folder ${dataFolder}`
        : 'in memory'
  console.log(
    greeting(
      settings,
      `  Tokens are kept in ${place} (STORAGE=${storage}), connections ${kept}. Everything else is in memory.`,
      [providers.projects.url, providers.hotel.url],
    ),
  )
}
