/** The forms of a page, read as far as our pages and the server's need it. */
import { inlineScriptAllowed } from './content-security-policy.js'
import type { Page } from './exchange.js'
import { attributesOf } from './markup.js'

export interface Form {
  readonly action: string
  readonly method: string
  readonly fields: Readonly<Record<string, string>>
}

/** The first form, or the one with this action. */
export function formNamed(body: string, action?: string): Form {
  const form = formsOf(body).find((candidate) => action === undefined || candidate.action === action)
  if (!form) throw new Error(`the page has no form${action === undefined ? '' : ` with action "${action}"`}`)
  return form
}

/** A form that a script sends when the page has loaded, unless the page's policy stops the script. */
export function formSubmittedByItself({ body, headers }: Page): Form | undefined {
  const scripted = /\bonload="[^"]*submit\(\)|<script[^>]*>[^<]*submit\(\)/i.test(body)
  return scripted && inlineScriptAllowed(headers) ? formsOf(body)[0] : undefined
}

function formsOf(body: string): Form[] {
  return [...body.matchAll(/<form\b([^>]*)>(.*?)<\/form>/gis)].map(([, tag = '', content = '']) => {
    const { action = '', method = 'get' } = attributesOf(tag)
    return { action, method: method.toUpperCase(), fields: fieldsOf(content) }
  })
}

function fieldsOf(content: string): Record<string, string> {
  const inputs = [...content.matchAll(/<(?:input|button)\b([^>]*)>/gi)].map(([, tag = '']) =>
    attributesOf(tag),
  )
  return Object.fromEntries(
    inputs.flatMap(({ name, value = '' }) => (name === undefined ? [] : [[name, value]])),
  )
}
