/** What the pages of the app and of the authorization server share: their headers, stylesheet and icons. */

import { fileURLToPath } from 'node:url'
import express from 'express'

/** Serves the files of `public`; its folders are no pages. */
export const assets = express.static(fileURLToPath(new URL('../public', import.meta.url)), {
  redirect: false,
})

/**
 * Headers of a page without inline script or style. `formTargets` are URLs of other origins that a form of the page
 * may end at: browsers apply `form-action` to the redirects that follow a form, too. `script` is for a page that loads
 * one of our own. `frames` are URLs of other origins that such a script may open in a frame, beside those of its own.
 */
export function pageHeaders(
  formTargets: readonly unknown[] = [],
  script = false,
  frames: readonly unknown[] = [],
): Record<string, string> {
  const formAction = ["'self'", ...formTargets.flatMap(origin)].join(' ')
  return {
    'Content-Security-Policy': [
      "default-src 'none'",
      "style-src 'self'",
      `script-src ${script ? "'self'" : "'none'"}`,
      `connect-src ${script ? "'self'" : "'none'"}`,
      `frame-src ${frames.length > 0 ? ["'self'", ...frames.flatMap(origin)].join(' ') : "'none'"}`,
      "img-src 'self' data:",
      `form-action ${formAction}`,
      "base-uri 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
  }
}

function origin(target: unknown): string[] {
  return typeof target === 'string' && URL.canParse(target) ? [new URL(target).origin] : []
}
