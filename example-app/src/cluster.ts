/**
 * Starts the demo as it runs on several machines: two processes of the app behind one address, with one Redis. The
 * authorization server and the API are in this process, so that they outlive a process of the app.
 */

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { isOAuthError } from 'express-oauth-kit'
import { startInstance } from './cluster/instances.js'
import { startRedis } from './cluster/redis.js'
import { roundRobin } from './cluster/round-robin.js'
import { close, greeting, listen, startServices } from './services.js'
import { readSettings, SettingsError } from './settings.js'

try {
  if (existsSync('.env')) process.loadEnvFile('.env')
  // What all processes have to know alike: made here when it was not given, and handed on.
  process.env['COOKIE_SECRET'] ||= randomBytes(32).toString('base64url')
  if (!process.env['ISSUER']) process.env['CLIENT_SECRET'] ||= randomBytes(32).toString('base64url')
  await start()
} catch (error) {
  console.error(error instanceof SettingsError || isOAuthError(error) ? error.message : error)
  process.exit(1)
}

async function start(): Promise<void> {
  const settings = readSettings(process.env)
  const servers = await startServices(settings)
  const ownRedis = process.env['REDIS_URL'] ? undefined : await startRedis()
  const redisUrl = ownRedis?.url ?? process.env['REDIS_URL'] ?? ''
  const instances = await Promise.all(
    ['App 1', 'App 2'].map((name) => startInstance(name, { ...process.env, REDIS_URL: redisUrl })),
  )
  servers.push(await listen('PORT', settings.port, roundRobin(instances)))

  const stop = () => {
    close(servers)
    for (const instance of instances) instance.stop()
    ownRedis?.stop()
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)

  const place = settings.storage === 'cookie' ? 'sealed cookies' : 'Redis'
  const lines = [
    'Two processes take turns behind that address:',
    ...instances.map(({ name, pid }) => `  ${name}  process ${pid}   try: kill -9 ${pid}`),
    `They share ${ownRedis ? 'a Redis of the demo' : 'your Redis'}: ${redisUrl.replace(/\/\/.*@/, '//…@')}`,
    `Tokens are kept in ${place} (STORAGE=${settings.storage}).`,
  ]
  console.log(greeting(settings, lines.map((line) => `  ${line}`).join('\n')))
}
