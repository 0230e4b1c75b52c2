/** One request and its response, with nothing added: `fetch` would overwrite `Sec-Fetch-Mode`. */
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'

export interface Request {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

/** A response, and what was asked. */
export interface Page {
  readonly method: string
  readonly url: string
  readonly requestHeaders: Readonly<Record<string, string>>
  readonly requestBody: string | undefined
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly setCookies: readonly string[]
  readonly body: string
}

export async function responseTo({ method, url, headers, body }: Request): Promise<Page> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          method,
          url,
          requestHeaders: headers,
          requestBody: body,
          status: response.statusCode ?? 0,
          headers: response.headers,
          setCookies: response.headers['set-cookie'] ?? [],
          body: text,
        }),
      )
    })
    request.on('error', reject)
    request.end(body)
  })
}

/** Sends a request once more as it was, cookies included: a double click, or somebody who recorded it. */
export async function replayed({ method, url, requestHeaders, requestBody }: Page): Promise<Page> {
  return responseTo({ method, url, headers: requestHeaders, body: requestBody })
}
