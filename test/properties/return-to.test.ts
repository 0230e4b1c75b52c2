/** Whatever is asked for, the user stays on the site. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { localPath } from '../../lib/middleware/return-to.js'
import { openRedirects } from '../threats/support/open-redirects.js'

const origins = ['https://app.example', 'http://localhost:3000', 'https://[::1]:8443'] as const

/** Made of what parsers stumble over, as well as of anything. */
const piece = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('/', '\\', '.', '..', ':', '@', '?', '#', '%', ';', '&', '=') },
  {
    weight: 2,
    arbitrary: fc.constantFrom('%2f', '%5c', '%2e', '%09', '%0d%0a', '%00', '\t', '\n', '\r', ' ', '\u0000'),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'evil.example',
      'localhost',
      'app.example',
      'https',
      'javascript',
      'a',
      '[::1]',
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '\u3002',
      '\uff0f',
      '\uff3c',
      '\u2028',
      '\u00a0',
      '\ufeff',
      '\ud800',
      '\udfff',
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 5 }) },
)
const address = fc.oneof(
  fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
  fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`),
  fc.tuple(fc.constantFrom(...openRedirects), piece).map(([payload, more]) => payload + more),
  fc.webUrl(),
  fc.webPath(),
)

describe('T16 a returnTo, however malformed,', () => {
  it('is a path of this site, or nothing', () => {
    fc.assert(
      fc.property(address, fc.constantFrom(...origins), (value, origin) => {
        const path = localPath(value, origin)
        if (path === undefined) return
        expect(path).toMatch(/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/)
        for (const base of [`${origin}/`, `${origin}/a/b?c`, `${origin}/a/b/../c#d`])
          expect(new URL(path, base).origin).toBe(origin)
        expect(localPath(path, origin)).toBe(path)
      }),
      { numRuns: 20_000 },
    )
  })

  it('that is honest is kept', () => {
    fc.assert(
      fc.property(fc.webPath({ size: 'small' }), fc.webQueryParameters(), (path, query) => {
        fc.pre(query !== '' && path.startsWith('/') && !path.startsWith('//') && !/\/\.|\.\//.test(path))
        const { href, origin } = new URL(`${origins[0]}${path}?${query}`)
        expect(localPath(`${path}?${query}`, origins[0])).toBe(href.slice(origin.length))
      }),
      { numRuns: 2_000 },
    )
  })

  it('of any type at all does not throw', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withObjectString: true }), (value) => {
        const path = localPath(value, origins[0])
        expect(path === undefined || typeof value === 'string').toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })
})
