/** Threats to what passes between browser and API besides the body: cookies, tokens, identities, commands to caches. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { oauthProxy } from '../../../lib/index.js'
import { requestHeaders } from '../../../lib/proxy/headers.js'
import { requestBody } from '../../../lib/proxy/request-body.js'
import { exchange, ownScript, proxied, proxiedApi, raw, upstream } from '../../proxy/proxied.js'
import { travel } from '../../support/time.js'

/** Name and value of each header, with the names in small letters. */
function pairs(rawHeaders: readonly string[]): string[] {
  return rawHeaders.flatMap((text, index) =>
    index % 2 === 0 ? [`${text.toLowerCase()}: ${rawHeaders[index + 1]}`] : [],
  )
}

const spoofed = [
  'X-User: admin',
  'x-user-id: 1',
  'X_User: admin',
  'x_user_id: 1',
  'X-Auth-Request-User: admin',
  'X-Auth_Request-Email: a',
  'Remote-User: admin',
  'remote_user: admin',
  'X-Remote-User: admin',
  'X-Email: a@b',
  'X-Groups: admin',
  'X-Role: admin',
  'X-Webauth-User: admin',
  'X-Forwarded-For: 127.0.0.1',
  'X-Forwarded-Host: evil',
  'x_forwarded_for: 127.0.0.1',
  'X-Forwarded: for=1',
  'Forwarded: for=127.0.0.1',
  'X-Real-IP: 127.0.0.1',
  'True-Client-IP: 127.0.0.1',
  'Via: 1.1 evil',
  'CF-Connecting-IP: 127.0.0.1',
  'Client-Cert: :AAAA:',
  'X-SSL-Client-Verify: SUCCESS',
  'Impersonate-User: admin',
  'X-Amzn-Oidc-Data: x',
  'X-MS-Client-Principal: x',
  'X-Goog-IAP-JWT-Assertion: x',
  'X-Consumer-Username: admin',
  'X-Access-Token: x',
  'X-ID-Token: x',
  'X-Original-URL: /admin',
  'X-Rewrite-URL: /admin',
  'X-HTTP-Method-Override: DELETE',
  'X-Middleware-Subrequest: x',
  'X.User: admin',
]
const ofConnection = [
  'Proxy-Authorization: Basic x',
  'Proxy-Connection: keep-alive',
  'TE: trailers',
  'Trailer: x-end',
  'Keep-Alive: timeout=9',
  'Upgrade: h2c',
  'HTTP2-Settings: x',
  'Connection: close, X-Hop, authorization',
  'X-HOP: 1',
]
const ofThisServer = [
  'Authorization: Bearer of-the-attacker',
  'AUTHORIZATION: Bearer twice',
  'DPoP: x',
  'X-CSRF: 1',
  'X-CSRF-Token: x',
  'Origin: http://localhost',
  'Referer: http://localhost/secret',
  'Sec-Fetch-Site: same-origin',
  'Sec-Fetch-Mode: cors',
  'Sec-CH-UA: x',
  'Cookie2: a=b',
]

describe('T111: what the API gets', () => {
  it('T111: is the token, and what is about the request alone', async () => {
    const seen: string[][] = []
    const target = await upstream((request, response) => {
      seen.push(pairs(request.rawHeaders))
      response.end()
    })
    const { app, cookie, server } = await proxied(target, {
      headers: { 'X-Api-Version': '7', 'X-Request-From': 'bff' },
    })
    const own = [
      'Accept: application/json',
      'Accept-Encoding: br',
      'X-Own: 1',
      'x-own: 2',
      'X-Api-Version: 1',
      'User-Agent: a',
      'If-None-Match: "a"',
    ]
    const lines = [
      `Host: localhost`,
      `Cookie: ${cookie}`,
      ...spoofed,
      ...ofConnection,
      ...ofThisServer,
      ...own,
    ]
    const answer = await raw(app.url, `GET /api/x HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
    expect(answer).toMatch(/^HTTP\/1.1 200 /)
    const token = server.secrets.findLast(({ role }) => role === 'access token')?.value
    expect(seen).toEqual([
      [
        `host: ${new URL(target).host}`,
        'x-api-version: 7',
        'x-request-from: bff',
        'accept: application/json',
        'accept-encoding: br',
        'x-own: 1',
        'x-own: 2',
        'user-agent: a',
        'if-none-match: "a"',
        `authorization: Bearer ${token}`,
        'connection: keep-alive',
      ],
    ])
  })

  it('T111: without a token there is no Authorization at all', async () => {
    const { send, api } = await proxiedApi({ token: 'none' })
    await send('/api/x', {
      headers: { authorization: 'Bearer of-the-attacker', 'proxy-authorization': 'Basic x' },
    })
    expect(Object.keys(api.requests[0]?.headers ?? {})).toEqual(['host', 'connection'])
  })
})

describe('T119: an identity', () => {
  it.each(spoofed)('T119: "%s" is not the browser\'s to tell', (line) => {
    const [name = '', value = ''] = line.split(': ')
    expect(requestHeaders([name, value, 'Accept', 'a'], undefined, new Set())).toEqual(['Accept', 'a'])
  })
})

const answered = {
  'content-type': 'application/json',
  'content-language': 'en',
  etag: '"1"',
  'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT',
  'x-total-count': '7',
  'retry-after': '3',
  link: '<https://api.example.com/x>; rel=next',
  date: 'Mon, 01 Jan 2024 00:00:00 GMT',
} as const

const refused: readonly (readonly [string, string])[] = [
  ['Set-Cookie', 'oauth=planted; Path=/'],
  ['SET-COOKIE', '__Host-oauth=planted; Path=/; Secure'],
  ['Set-Cookie2', 'a=b'],
  ['WWW-Authenticate', 'Basic realm="give it to me"'],
  ['Proxy-Authenticate', 'Basic'],
  ['Authorization', 'Bearer leaked'],
  ['Authentication-Info', 'x'],
  ['DPoP-Nonce', 'x'],
  ['Access-Control-Allow-Origin', '*'],
  ['Access-Control-Allow-Credentials', 'true'],
  ['Timing-Allow-Origin', '*'],
  ['Cross-Origin-Resource-Policy', 'cross-origin'],
  ['Strict-Transport-Security', 'max-age=63072000; includeSubDomains; preload'],
  ['Clear-Site-Data', '"*"'],
  ['Service-Worker-Allowed', '/'],
  ['Refresh', '0;url=https://evil.example'],
  ['Content-Location', 'https://evil.example'],
  ['Alt-Svc', 'h3="evil.example:443"'],
  ['NEL', '{}'],
  ['Report-To', '{}'],
  ['Reporting-Endpoints', 'a="https://evil.example"'],
  ['X-Accel-Redirect', '/etc/passwd'],
  ['X-Sendfile', '/etc/passwd'],
  ['CDN-Cache-Control', 'public, max-age=600'],
  ['Cloudflare-CDN-Cache-Control', 'public'],
  ['Surrogate-Control', 'max-age=600'],
  ['X-Accel-Expires', '600'],
  ['Server', 'x'],
  ['Via', '1.1 inside'],
  ['X-Powered-By', 'inside'],
  ['Keep-Alive', 'timeout=9'],
  ['Trailer', 'x-end'],
  ['Upgrade', 'h2c'],
  ['X-Hop', '1'],
]

describe('T111: what the browser gets', () => {
  it('T111: is what the API says of its answer alone', async () => {
    const all = [
      ...refused,
      ...Object.entries(answered),
      ['Connection', 'close, X-Hop'],
      ['Content-Length', '2'],
    ]
    const head = all.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    const target = await upstream(
      (_request, { socket }) => void socket?.end(`HTTP/1.1 200 OK\r\n${head}\r\n{}`),
    )
    const { send } = await proxied(target)
    const { rawHeaders } = await send('/api/x')
    expect(pairs(rawHeaders).toSorted()).toEqual(
      [
        ...Object.entries(answered).map(([name, value]) => `${name}: ${value}`),
        'content-length: 2',
        'cache-control: private, no-store',
        'vary: Cookie',
        'x-content-type-options: nosniff',
        'x-powered-by: Express',
        // Of the connection between browser and this server.
        'connection: close',
      ].toSorted(),
    )
  })

  it('T111: a 401 of the API asks nobody for a password, and cookies pass only where the app says so', async () => {
    const answer = () => ({
      status: 401,
      headers: { 'www-authenticate': 'Basic', 'set-cookie': 'theirs=1' },
      body: 'no',
    })
    for (const [passSetCookie, cookies] of [
      [false, undefined],
      [true, ['theirs=1']],
    ] as const) {
      const { send, api } = await proxiedApi({ passSetCookie, token: 'none' })
      api.answer = answer
      const { status, headers, body } = await send('/api/x')
      expect([status, body, headers['www-authenticate'], headers['set-cookie']]).toEqual([
        401,
        'no',
        undefined,
        cookies,
      ])
    }
  })

  it('T111: cookies of this server pass with the answer, when the token was refreshed for it', async () => {
    const { send, api, server } = await proxiedApi()
    api.answer = () => ({
      status: 200,
      headers: { 'set-cookie': 'theirs=1', 'cache-control': 'public, max-age=60' },
      body: 'x',
    })
    travel(4_000)
    const { headers } = await send('/api/x')
    expect(server.counts.token).toBe(2)
    expect(headers['set-cookie']?.map((cookie) => cookie.split('=', 1)[0])).toEqual(['oauth', 'oauth.tokens'])
    expect(headers['cache-control']).toBe('private, no-store')
  })

  it('T111: what the app says of all its pages stays, and a page of the API is no page of this site', async () => {
    const { send, api } = await proxiedApi(
      {},
      {
        before: [
          (_request, response, next) => {
            response.setHeader('content-security-policy', "default-src 'self'")
            response.setHeader('x-frame-options', 'DENY')
            response.setHeader('access-control-allow-origin', 'https://friend.example')
            response.setHeader('content-type', 'text/wrong')
            next()
          },
        ],
      },
    )
    for (const [type, policy] of [
      ['text/html', "default-src 'self', sandbox"],
      ['image/svg+xml', "default-src 'self', sandbox"],
      ['application/json', "default-src 'self'"],
    ] as const) {
      api.answer = () => ({
        status: 200,
        headers: {
          'content-type': type,
          'content-security-policy': '*',
          'x-frame-options': 'ALLOWALL',
          'x-content-type-options': 'none',
          'access-control-allow-origin': '*',
        },
        body: '',
      })
      const { headers } = await send('/api/x')
      expect(headers).toMatchObject({
        'content-type': type,
        'content-security-policy': policy,
        'x-frame-options': 'DENY',
        'x-content-type-options': 'nosniff',
        'access-control-allow-origin': 'https://friend.example',
      })
    }
  })
})

describe('T111: an answer of the API', () => {
  const spoken = async (head: string) => {
    const url = await upstream((_request, { socket }) => void socket?.end(`HTTP/1.1 ${head}`))
    return proxied(url)
  }

  it('T111: that has two types is judged by all of them', async () => {
    const head = '200 OK\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n'
    const { send } = await spoken(head)
    expect((await send('/api/x')).headers['content-security-policy']).toBe('sandbox')
  })

  it('T111: without a body says nothing of its length', async () => {
    const { send } = await spoken('204 No Content\r\nContent-Length: 5\r\n\r\n')
    const { status, headers } = await send('/api/x')
    expect([status, headers['content-length']]).toEqual([204, undefined])
  })
})

describe('T40: a cache that others share', () => {
  it.each([
    [{}, 'private, no-store'],
    [{ 'cache-control': 'public, max-age=60, s-maxage=600' }, 'private, max-age=60'],
    [{ 'cache-control': 'no-store' }, 'private, no-store'],
  ] as [Record<string, string>, string][])('T40: keeps nothing of %o', async (headers, expected) => {
    const { send, api } = await proxiedApi()
    api.answer = () => ({ status: 200, headers: { ...headers, vary: 'Accept' }, body: 'x' })
    const answer = await send('/api/x')
    expect(answer.headers['cache-control']).toBe(expected)
    expect(answer.headers.vary).toBe('Cookie, Accept')
  })

  it('T40: keeps nothing that the app does not want kept, whatever the API says', async () => {
    const { send, api } = await proxiedApi(
      {},
      {
        before: [
          (_request, response, next) => {
            response.setHeader('cache-control', 'no-store')
            next()
          },
        ],
      },
    )
    api.answer = () => ({ status: 200, headers: { 'cache-control': 'public, max-age=60' }, body: 'x' })
    expect((await send('/api/x')).headers['cache-control']).toBe('no-store')
  })
})

describe('T112: a request that two servers end in different places', () => {
  const body = '0\r\n\r\nGET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
  const smuggled: Record<string, string> = {
    'CL.TE': `Content-Length: ${body.length}\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
    'TE.CL': `Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n${body}`,
    'CL.CL': `Content-Length: 0\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    'CL, CL': `Content-Length: 5, 6\r\n\r\n${body}`,
    'CL +5': `Content-Length: +5\r\n\r\n${body}`,
    'CL 0x5': `Content-Length: 0x5\r\n\r\n${body}`,
    'CL -1': `Content-Length: -1\r\n\r\n${body}`,
    'TE: xchunked': `Transfer-Encoding: xchunked\r\n\r\n${body}`,
    'TE: chunked, identity': `Transfer-Encoding: chunked, identity\r\n\r\n${body}`,
    'TE: gzip, chunked': `Transfer-Encoding: gzip, chunked\r\n\r\n${body}`,
    'TE twice': `Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n${body}`,
    'a space before the colon': `Transfer-Encoding : chunked\r\n\r\n${body}`,
    'obs-fold': `X-Own: a\r\n Transfer-Encoding: chunked\r\n\r\n`,
    'TE after a tab': `Content-Length: 3\r\nTransfer-Encoding:\tchunked\r\n\r\n${body}`,
    'LF alone': `Content-Length: 3\nTransfer-Encoding: chunked\n\n${body}`,
    'CR alone': `X-Own: a\rTransfer-Encoding: chunked\r\n\r\n${body}`,
  }

  it('T112: ends at this server', async () => {
    const { app, api, cookie } = await proxiedApi()
    const common = `Host: localhost\r\nCookie: ${cookie}\r\nX-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\nConnection: close\r\n`
    for (const [name, rest] of Object.entries(smuggled)) {
      const answer = await raw(app.url, `POST /api/x HTTP/1.1\r\n${common}${rest}`)
      expect(`${name}: ${answer.slice(0, 12)}`).toBe(`${name}: HTTP/1.1 400`)
    }
    expect(api.requests).toEqual([])
  })

  it('T112: also where Node was told to be lenient', async () => {
    const lenient = [
      { 'content-length': '5', 'transfer-encoding': 'chunked' },
      { 'transfer-encoding': 'gzip, chunked' },
      { 'transfer-encoding': 'identity' },
    ]
    for (const headers of lenient) {
      const request = { method: 'POST', headers, readableDidRead: false } as unknown as IncomingMessage
      expect(() => requestBody(request)).toThrow(expect.objectContaining({ status: 400, reason: 'framing' }))
    }
  })

  it('T112: a body is framed anew and stays one request', async () => {
    const { app, api, cookie } = await proxiedApi()
    for (const [method, headers] of [
      ['POST', {}],
      ['DELETE', {}],
      ['GET', {}],
      ['PUT', { 'content-length': '5' }],
    ] as const) {
      const request = httpRequest(`${app.url}/api/x`, {
        method,
        agent: false,
        headers: {
          cookie,
          ...ownScript,
          ...headers,
          ...(method === 'PUT' ? {} : { 'transfer-encoding': 'chunked' }),
        },
      })
      await new Promise((resolve) =>
        request.on('response', (response) => response.resume().on('end', resolve)).end('hello'),
      )
    }
    expect(
      api.requests.map(({ method, body: got, headers }) => [
        method,
        got,
        headers['transfer-encoding'],
        headers['content-length'],
      ]),
    ).toEqual([
      ['POST', 'hello', 'chunked', undefined],
      ['DELETE', 'hello', 'chunked', undefined],
      ['GET', 'hello', 'chunked', undefined],
      ['PUT', 'hello', undefined, '5'],
    ])
  })

  it('T112: without a body there is none', async () => {
    const { app, api, cookie } = await proxiedApi()
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'DELETE', 'POST', 'PATCH']) {
      await raw(
        app.url,
        `${method} /api/x HTTP/1.1\r\nHost: x\r\nCookie: ${cookie}\r\nX-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\nConnection: close\r\n\r\n`,
      )
    }
    expect(
      api.requests.map(({ method, headers }) => [
        method,
        headers['transfer-encoding'],
        headers['content-length'],
      ]),
    ).toEqual([
      ['GET', undefined, undefined],
      ['HEAD', undefined, undefined],
      ['OPTIONS', undefined, undefined],
      ['DELETE', undefined, undefined],
      ['POST', undefined, '0'],
      ['PATCH', undefined, '0'],
    ])
  })
})

describe('T108: a request that another site makes', () => {
  const tokens = ['user', 'user-or-none', 'none'] as const
  it.each(tokens)('T108: does not reach the API, whatever the token: %s', async (token) => {
    const { send, api, app } = await proxiedApi({ token })
    const foreign: Record<string, string>[] = [
      { 'x-csrf': '', 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': '', origin: 'https://evil.example' },
      { 'sec-fetch-site': 'cross-site', origin: app.url },
    ]
    for (const headers of foreign) {
      for (const method of ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS']) {
        const answer = await send('/api/x', { method, headers })
        expect([headers, method, answer.status]).toEqual([headers, method, 403])
      }
    }
    expect(api.requests).toEqual([])
  })

  it('T108: needs the header even from this site, but where the app does without', async () => {
    const plain = await proxiedApi()
    const { 'x-csrf': _header, ...rest } = ownScript
    const withoutHeader = { ...rest, cookie: plain.cookie }
    for (const method of ['GET', 'POST']) {
      expect((await exchange(plain.app.url, '/api/x', { method, headers: withoutHeader })).status).toBe(403)
    }
    expect(plain.api.requests).toEqual([])
    const images = await proxiedApi({ csrfHeader: false })
    const headers = { ...rest, cookie: images.cookie }
    expect((await exchange(images.app.url, '/api/x', { method: 'GET', headers })).status).toBe(200)
    expect(
      (
        await exchange(images.app.url, '/api/x', {
          method: 'GET',
          headers: { ...headers, 'sec-fetch-site': 'cross-site' },
        })
      ).status,
    ).toBe(403)
    expect(
      (await exchange(images.app.url, '/api/x', { method: 'GET', headers: { cookie: images.cookie } }))
        .status,
    ).toBe(403)
    expect(images.api.requests).toHaveLength(1)
    const named = await proxiedApi({ csrfHeader: 'X-Own-Proof' })
    expect((await named.send('/api/x')).status).toBe(403)
    expect((await named.send('/api/x', { headers: { 'x-own-proof': 'y' } })).status).toBe(200)
    expect(named.api.requests[0]?.headers).not.toHaveProperty('x-own-proof')
  })

  it.each(['X-Requested-With', 'Accept', 'sec-x', 'cookie2', 'if-match', 'last-event-id', 'x csrf', '', 7])(
    'T108: %j is no header that proves anything',
    (csrfHeader) => {
      const options = { prefix: '/api', target: 'https://api.example.com', token: 'none' } as const
      expect(() => oauthProxy({ ...options, csrfHeader: csrfHeader as string })).toThrow('"csrfHeader" is')
    },
  )
})
