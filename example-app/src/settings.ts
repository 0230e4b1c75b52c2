/** What the demo reads from the environment. `.env.example` explains each variable. */

import { randomBytes } from 'node:crypto'

export interface Settings {
  readonly port: number
  readonly apiPort: number
  readonly authorizationServerPort: number
  /** The two providers whose accounts can be connected. */
  readonly projectsEuPort: number
  readonly hotelPort: number
  readonly baseUrl: string
  /** Where the API is. Its own when the demo serves it, on `apiPort`. */
  readonly apiUrl: string
  readonly servesApi: boolean
  readonly issuer: string
  /** Whether the demo serves the issuer itself, on `authorizationServerPort`. */
  readonly servesIssuer: boolean
  readonly clientId: string
  readonly clientSecret: string | undefined
  readonly scope: string
  readonly resource: string | undefined
  readonly audience: string
  readonly storage: 'cookie' | 'session'
  readonly secret: string
  /** The folder that connections and the providers' grants are kept in; nothing when they are kept in memory. */
  readonly dataFolder: string | undefined
  /** A PostgreSQL that keeps the connections instead of the folder. */
  readonly databaseUrl: string | undefined
}

/** A mistake that its message explains to whoever starts the demo. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
}

export function readSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  // A variable that is set to nothing counts as absent, so that lines of a `.env` file can stay empty.
  const get = (name: string) => env[name]?.trim() || undefined

  const port = portNumber('PORT', get('PORT'), 3000)
  const apiPort = portNumber('API_PORT', get('API_PORT'), 4001)
  const authorizationServerPort = portNumber('AS_PORT', get('AS_PORT'), 4000)
  const projectsEuPort = portNumber('PROJECTS_EU_PORT', get('PROJECTS_EU_PORT'), 4002)
  const hotelPort = portNumber('HOTEL_PORT', get('HOTEL_PORT'), 4003)
  if (new Set([port, apiPort, authorizationServerPort, projectsEuPort, hotelPort]).size < 5) {
    throw new SettingsError(
      'PORT, API_PORT, AS_PORT, PROJECTS_EU_PORT and HOTEL_PORT must be five different numbers.',
    )
  }

  const issuer = get('ISSUER')
  const clientId = get('CLIENT_ID')
  if (issuer !== undefined && clientId === undefined) {
    throw new SettingsError(
      'ISSUER is set, so CLIENT_ID must be set, too: the id that this app has at that server.',
    )
  }

  const storage = get('STORAGE') ?? 'cookie'
  if (storage !== 'cookie' && storage !== 'session') {
    throw new SettingsError(`STORAGE is "${storage}". Set it to "cookie" or "session".`)
  }

  const secret = get('COOKIE_SECRET') ?? randomBytes(32).toString('base64url')
  if (Buffer.byteLength(secret) < 32)
    throw new SettingsError('COOKIE_SECRET must have at least 32 characters.')

  const data = get('DATA') ?? 'data'
  const apiUrl = get('API_URL') ?? `http://localhost:${apiPort}`
  const resource = get('RESOURCE') ?? (issuer === undefined ? apiUrl : undefined)
  return {
    port,
    apiPort,
    authorizationServerPort,
    projectsEuPort,
    hotelPort,
    baseUrl: `http://localhost:${port}`,
    apiUrl,
    servesApi: get('API_URL') === undefined,
    issuer: issuer ?? `http://localhost:${authorizationServerPort}`,
    servesIssuer: issuer === undefined,
    clientId: clientId ?? 'projects',
    clientSecret:
      get('CLIENT_SECRET') ?? (issuer === undefined ? randomBytes(32).toString('base64url') : undefined),
    scope: get('SCOPE') ?? 'openid profile email offline_access read:projects',
    resource,
    audience: get('AUDIENCE') ?? resource ?? apiUrl,
    storage,
    secret,
    dataFolder: data === 'memory' ? undefined : data,
    databaseUrl: get('DATABASE_URL'),
  }
}

function portNumber(name: string, value: string | undefined, byDefault: number): number {
  if (value === undefined) return byDefault
  const port = Number(value)
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port
  throw new SettingsError(`${name} is "${value}". Set it to a number from 1 to 65535.`)
}
