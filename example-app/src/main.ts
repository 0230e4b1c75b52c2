/** Starts the demo: the app, the API and, unless ISSUER names another, the authorization server. */

import { existsSync } from 'node:fs'
import { isOAuthError, memoryStore } from 'express-oauth-kit'
import { createApp } from './app.js'
import { close, greeting, listen, startServices } from './services.js'
import { readSettings, SettingsError, type Settings } from './settings.js'

try {
  if (existsSync('.env')) process.loadEnvFile('.env')
  await start(readSettings(process.env))
} catch (error) {
  console.error(error instanceof SettingsError || isOAuthError(error) ? error.message : error)
  process.exit(1)
}

async function start(settings: Settings): Promise<void> {
  const { port, storage } = settings
  const servers = await startServices(settings)
  // Enough for one process. With several, see cluster.ts.
  servers.push(await listen('PORT', port, createApp({ ...settings, store: memoryStore() })))

  const stop = () => close(servers)
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  const place = storage === 'cookie' ? 'sealed cookies' : 'the session store'
  console.log(
    greeting(settings, `  Tokens are kept in ${place} (STORAGE=${storage}). Everything else is in memory.`),
  )
}
