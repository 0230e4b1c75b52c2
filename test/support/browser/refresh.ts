/** Where a page moves on to by itself: the `Refresh` header or `<meta http-equiv=refresh>`. */
import type { Page } from './exchange.js'
import { attributesOf } from './markup.js'

export function refreshTarget({ headers, body }: Page): string | undefined {
  const header = headers['refresh']
  return targetOf(typeof header === 'string' ? header : metaRefresh(body))
}

function metaRefresh(body: string): string {
  const tags = [...body.matchAll(/<meta\b([^>]*)>/gi)].map(([, tag = '']) => attributesOf(tag))
  return tags.find((tag) => tag['http-equiv']?.toLowerCase() === 'refresh')?.['content'] ?? ''
}

function targetOf(value: string): string | undefined {
  const [, quoted, bare] = /^\s*\d+\s*[;,]\s*url\s*=\s*(?:["']([^"']*)["']|(.+))$/i.exec(value) ?? []
  return quoted ?? bare?.trim()
}
