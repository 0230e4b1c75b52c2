/** The two directives of a Content-Security-Policy that decide whether a flow goes on. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Page } from './exchange.js'
import { originOf } from './site.js'

export function inlineScriptAllowed(headers: IncomingHttpHeaders): boolean {
  const sources = directive(headers, 'script-src') ?? directive(headers, 'default-src')
  return sources === undefined || sources.includes("'unsafe-inline'")
}

/** Holds for the form's action and for every redirect that follows, as Chromium does it. */
export function formActionAllows({ url, headers }: Page, target: string): boolean {
  const sources = directive(headers, 'form-action')
  if (sources === undefined || sources.includes('*')) return true
  return (
    (sources.includes("'self'") && originOf(url) === originOf(target)) || sources.includes(originOf(target))
  )
}

function directive(headers: IncomingHttpHeaders, name: string): string[] | undefined {
  const policy = String(headers['content-security-policy'] ?? '')
  const directives = policy.split(';').map((part) => part.trim().split(/\s+/))
  return directives.find(([first]) => first === name)?.slice(1)
}
