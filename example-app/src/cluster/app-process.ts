/** One process of the app. What makes it one of several is the Redis that they share, and the same secrets. */

import { createServer } from 'node:http'
import { RedisStore } from 'connect-redis'
import { isOAuthError, redisStore } from 'express-oauth-kit'
import { createClient } from 'redis'
import { createApp } from '../app.js'
import { readSettings } from '../settings.js'

// Whoever started it is gone; that may be while it still waits for Redis.
process.once('disconnect', () => process.exit())

const { REDIS_URL: url = '', INSTANCE: instance = 'App' } = process.env
const settings = readSettings(process.env)

// The settings that redisStore recommends: a call fails at once while Redis is away, and none is carried out late.
const client = createClient({
  url,
  disableOfflineQueue: true,
  pingInterval: 1000,
  socket: { reconnectStrategy: 200, connectTimeout: 2000, socketTimeout: 2000 },
})
let isAway = false
client.on('error', (error: Error) => {
  if (!isAway)
    console.warn(`${instance}: Redis is away (${error.message || 'no connection'}). It is tried again.`)
  isAway = true
})
client.on('ready', () => {
  if (isAway) console.log(`${instance}: Redis is back.`)
  isAway = false
})
await client.connect()

try {
  const app = createApp({
    ...settings,
    instance,
    store: redisStore(client, { prefix: 'projects:oauth:' }),
    sessionStore: new RedisStore({ client, prefix: 'projects:session:' }),
  })
  const server = createServer(app).listen(0, '127.0.0.1', () => process.send?.(server.address()))

  const stop = () => {
    server.close(() => process.exit())
    server.closeIdleConnections()
    setTimeout(() => process.exit(), 3000).unref()
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
} catch (error) {
  console.error(isOAuthError(error) ? error.message : error)
  process.exit(1)
}
