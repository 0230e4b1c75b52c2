/** The client's credentials at the token endpoint: RFC 6749 §2.3.1. */
import type { ClientAuthentication, Provider } from './provider.js'
import type { RecordedRequest } from './recorded-request.js'

interface Credentials {
  readonly id: string
  readonly secret: string
}

export function clientComplaints(op: Provider, request: RecordedRequest): string[] {
  const used = methodsUsed(request)
  const { authentication } = op.client
  if (used.length !== 1 || used[0] !== authentication) {
    return [`client authentication is ${used.join(' and ')}, not ${authentication}`]
  }
  const rules: Record<ClientAuthentication, () => string[]> = {
    client_secret_basic: () => basicComplaints(op, request),
    client_secret_post: () => credentialComplaints(op, posted(request)),
    none: () =>
      credentialComplaints(op, { id: request.body.get('client_id') ?? '', secret: op.client.secret }),
  }
  return rules[authentication]()
}

function methodsUsed({ headers, body }: RecordedRequest): ClientAuthentication[] {
  const basic = headers.authorization === undefined ? [] : (['client_secret_basic'] as const)
  const post = body.has('client_secret') ? (['client_secret_post'] as const) : []
  return basic.length + post.length === 0 ? ['none'] : [...basic, ...post]
}

function basicComplaints(op: Provider, { headers, body }: RecordedRequest): string[] {
  const raw = basicCredentials(headers.authorization)
  if (!raw) return ['Authorization is not Basic with an id and a secret']
  const other = body.get('client_id') ?? op.client.id
  return [
    ...credentialComplaints(op, { id: formDecoded(raw.id), secret: formDecoded(raw.secret) }),
    ...(other === op.client.id ? [] : ['client_id in the body differs from the one in Authorization']),
    ...[raw.id, raw.secret].filter(isOverEncoded).map(() => 'Basic credentials encode unreserved characters'),
  ]
}

function credentialComplaints({ client }: Provider, { id, secret }: Credentials): string[] {
  return id === client.id && secret === client.secret ? [] : ['wrong client id or secret']
}

function posted({ body }: RecordedRequest): Credentials {
  return { id: body.get('client_id') ?? '', secret: body.get('client_secret') ?? '' }
}

function basicCredentials(authorization = ''): Credentials | undefined {
  const encoded = /^Basic ([\w+/]+=*)$/i.exec(authorization)?.[1]
  const [, id, secret] = /^([^:]*):(.*)$/.exec(Buffer.from(encoded ?? '', 'base64').toString()) ?? []
  return id !== undefined && secret !== undefined ? { id, secret } : undefined
}

function formDecoded(text: string): string {
  return new URLSearchParams(`v=${text}`).get('v') ?? ''
}

/** Servers that compare undecoded refuse `client%2D1`, so unreserved characters have to stay as they are. */
function isOverEncoded(text: string): boolean {
  return [...text.matchAll(/%[0-9a-f]{2}/gi)].some(([code]) =>
    /[\w.~-]/.test(decodeURIComponentOrEmpty(code)),
  )
}

function decodeURIComponentOrEmpty(code: string): string {
  return String.fromCodePoint(Number.parseInt(code.slice(1), 16))
}
