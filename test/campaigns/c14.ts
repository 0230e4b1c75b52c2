/**
 * nginx in front: with its own limits for requests, with connections that are kept, and with a cache that knows nothing of
 * cookies. No session within the budget is refused for its size, and nobody gets the answer of somebody else.
 */
import type { NginxOptions } from '../support/nginx.js'
import { cookieHeader, withNewCookies } from '../support/requests.js'
import { startSite, type Site } from './c14/site.js'
import { atLeast, exactly, noted, type Campaign, type Figure, type Random } from './support/campaign.js'
import { signIn } from './support/sign-in.js'
import { createVisitor, type Visitor } from './support/visitor.js'

/** What an operator has to know of cookie sessions: answers that begin one have more headers than nginx expects. */
const largerAnswers = ['proxy_buffer_size 16k;', 'proxy_buffers 8 16k;', 'proxy_busy_buffers_size 32k;']

const fronts: Readonly<Record<string, Omit<NginxOptions, 'upstream'>>> = {
  'nginx as it comes': { location: largerAnswers },
  'nginx that keeps connections and caches': {
    http: (folder) => [`proxy_cache_path ${folder}/cache keys_zone=pages:10m;`],
    location: [
      ...largerAnswers,
      'proxy_http_version 1.1;',
      'proxy_set_header Connection "";',
      'proxy_cache pages;',
      'proxy_cache_key $request_uri;',
      'proxy_cache_valid any 1m;',
      'add_header x-cache $upstream_cache_status always;',
    ],
  },
}

/** Pages that tell whose they are; `/greeting` and `/maybe` are for anybody. */
const pages = ['/page', '/greeting', '/maybe', '/token', '/user', '/api/whoami']
const forAnybody = ['/greeting', '/maybe']

interface Person {
  readonly name: string | undefined
  cookie: string
}

interface Seen {
  requests: number
  readonly wrong: string[]
  readonly refused: string[]
  readonly exposed: string[]
  fromCache: number
  longestHeader: number
}

export const campaign: Campaign = {
  title: 'nginx in front, with its limits and with a cache',
  within: { short: 90, long: 900 },
  async run({ long, random }) {
    const figures: Figure[] = []
    for (const [name, front] of Object.entries(fronts)) {
      const people = Array.from({ length: long ? 40 : 12 }, (_, index) => `user-${index}`)
      const site = await startSite(front, (user) => sizeOf(Number(user.split('-')[1]), people.length))
      const visitor = createVisitor()
      try {
        const seen = await visits(site, visitor, people, { requests: long ? 10_000 : 1_200, random })
        figures.push(
          noted(`${name}: requests`, seen.requests),
          noted('longest Cookie header', seen.longestHeader, { unit: 'characters' }),
          none('answers for somebody else', seen.wrong),
          none('requests refused', seen.refused),
          none('answers with cookies of the API or in a cache', seen.exposed),
        )
        // Without this, nothing was shown about caches.
        if (front.http)
          figures.push(atLeast('answers from the cache, of the page for all', seen.fromCache, 1))
      } finally {
        visitor.close()
        await site.close()
      }
    }
    return figures
  },
}

/** From almost nothing to what just fits. */
function sizeOf(index: number, count: number): number {
  return Math.round((3_400 * index) / (count - 1))
}

async function visits(
  site: Site,
  visitor: Visitor,
  names: readonly string[],
  { requests, random }: { requests: number; random: Random },
): Promise<Seen> {
  const seen: Seen = { requests: 0, wrong: [], refused: [], exposed: [], fromCache: 0, longestHeader: 0 }
  const people: Person[] = []
  for (const name of names) {
    const browser = await site.users.openBrowser(name)
    await signIn(browser, `${site.url}/page`)
    // Logins in other tabs, which are never finished.
    for (let tab = 0; tab < Number(name.split('-')[1]) % 4; tab += 1)
      await browser.visit(`${site.url}/login`, { follow: false })
    people.push({ name, cookie: await cookieHeader(browser, site.url) })
  }
  for (let nobody = 0; nobody < 3; nobody += 1) people.push({ name: undefined, cookie: '' })
  // Each asks for one thing after the other, all at once.
  await Promise.all(
    people.map(async (person) => {
      for (let own = 0; own < requests / people.length; own += 1)
        await ask(site, visitor, person, seen, random)
    }),
  )
  return seen
}

async function ask(site: Site, visitor: Visitor, person: Person, seen: Seen, random: Random): Promise<void> {
  const path = random() < 0.1 ? '/open' : (pages[Math.floor(random() * pages.length)] ?? '')
  const answer = await visitor.ask(site.url + path, person.cookie, {
    'x-csrf': '1',
    'sec-fetch-site': 'same-origin',
  })
  const { status, headers, body, setCookies } = answer
  seen.requests += 1
  seen.longestHeader = Math.max(seen.longestHeader, person.cookie.length)
  if (path === '/open') {
    if (headers['x-cache'] === 'HIT') seen.fromCache += 1
    return
  }
  const isCached = headers['x-cache'] === 'HIT' || !/private|no-store/.test(headers['cache-control'] ?? '')
  if (isCached || setCookies.some((cookie) => cookie.startsWith('of-the-api')))
    seen.exposed.push(`${path}: ${JSON.stringify(headers)}`)
  const expected = person.name === undefined && !forAnybody.includes(path) ? 401 : 200
  if (status !== expected) seen.refused.push(`${path} for ${person.name}: ${status} ${body.slice(0, 100)}`)
  else if (status === 200 && whose(body) !== person.name)
    seen.wrong.push(`${path} for ${person.name}: ${body.slice(0, 100)}`)
  if (setCookies.length > 0 && person.name !== undefined)
    person.cookie = withNewCookies(person.cookie, { setCookies: [...setCookies] })
}

function whose(body: string): string | undefined {
  const { user, claims } = JSON.parse(body) as { user?: string; claims?: { sub: string } }
  return user ?? claims?.sub
}

function none(what: string, lines: readonly string[]): Figure {
  return exactly(what, lines.length, 0, { details: lines.slice(0, 10) })
}
