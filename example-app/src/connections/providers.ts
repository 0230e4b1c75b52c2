/** The providers whose accounts can be connected, as an app describes them, and what this one asks of their APIs. */

import type { ApiFetch, Connection, ConnectionProvider } from 'express-oauth-kit'
import { ApiError } from '../api-client.js'

/** A client at one of the demo's providers. */
export interface ProviderClient {
  /** The provider's address: an origin, without a path. */
  readonly url: string
  readonly clientId: string
  readonly clientSecret: string
}

export type ProviderClients = Readonly<Record<'projects' | 'hotel', ProviderClient>>

/** A table that a page can show. */
export interface Table {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | number)[])[]
}

/** For the option `providers` of `oauthConnections`. */
export function connectionProviders({ projects, hotel }: ProviderClients) {
  return {
    // A server that publishes nothing about itself, with an API in two regions.
    projects: {
      name: 'Projects EU',
      endpoints: {
        authorization: `${projects.url}/auth`,
        token: `${projects.url}/token`,
        revocation: `${projects.url}/token/revocation`,
      },
      clientId: projects.clientId,
      clientSecret: projects.clientSecret,
      scope: 'read:projects',
      authorizationParameters: { prompt: 'consent' },
      fields: {
        region: {
          label: 'Region',
          choices: { eu: 'Europe', us: 'America' },
          help: 'Where your workspace is kept.',
        },
        reference: {
          label: 'Your reference',
          required: false,
          pattern: /[A-Z]{2,6}-\d{1,6}/,
          help: 'Capital letters, a hyphen and digits, such as COST-12.',
        },
      },
      test: { url: `${projects.url}/{region}/me` },
      accountId: (me) => me.account_id as string,
      label: (me) => `${me.name}’s projects`,
      allow: [`${projects.url}/{region}/v1/`],
      parameters: { query: { api_version: '2' } },
    },
    // A server that is asked where its endpoints are, and whose refresh tokens are good for one use.
    hotel: {
      name: 'Hotel (apaleo-like)',
      issuer: hotel.url,
      clientId: hotel.clientId,
      clientSecret: hotel.clientSecret,
      scope: 'offline_access availability.read reservations.read',
      authorizationParameters: { prompt: 'consent' },
      test: { url: `${hotel.url}/me` },
      accountId: (me) => me.account_id as string,
      label: (me) => `${me.name}, ${me.city}`,
      allow: [`${hotel.url}/availability`, `${hotel.url}/reservations/`],
    },
  } satisfies Record<string, ConnectionProvider>
}

/** What the app does with a connection: it asks the provider's API for what there is to see. */
export async function useOf(connection: Connection, clients: ProviderClients): Promise<readonly Table[]> {
  const { provider, fields, fetch } = connection
  if (provider === 'projects') {
    const { projects } = await read<{ projects: { name: string; state: string; due: string }[] }>(
      fetch,
      `${clients.projects.url}/${fields['region']}/v1/projects`,
    )
    const rows = projects.map(({ name, state, due }) => [name, state, due])
    return [{ title: 'Projects', columns: ['Project', 'State', 'Due'], rows }]
  }
  const [{ rooms }, { arrivals }] = await Promise.all([
    read<{ rooms: { type: string; free: number; of: number; price: number }[] }>(
      fetch,
      `${clients.hotel.url}/availability`,
    ),
    read<{ arrivals: { guest: string; nights: number }[] }>(
      fetch,
      `${clients.hotel.url}/reservations/arrivals`,
    ),
  ])
  return [
    {
      title: 'Free rooms tonight',
      columns: ['Room', 'Free', 'Price'],
      rows: rooms.map(({ type, free, of, price }) => [type, `${free} of ${of}`, `€ ${price}`]),
    },
    {
      title: 'Arrivals today',
      columns: ['Guest', 'Nights'],
      rows: arrivals.map(({ guest, nights }) => [guest, nights]),
    },
  ]
}

async function read<T>(fetch: ApiFetch, url: string): Promise<T> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(10_000) }).catch((cause: unknown) => {
    // There is no token for it, which says nothing about the API.
    if (cause instanceof Error && cause.name === 'OAuthError') throw cause
    throw new ApiError(`${new URL(url).origin} cannot be reached`, { cause })
  })
  if (answer.ok) return JSON.parse(await answer.text()) as T
  throw new ApiError(`${url} was answered with ${answer.status}: ${await answer.text()}`)
}
