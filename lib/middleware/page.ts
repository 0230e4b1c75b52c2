/** The few pages of the package: no script, nothing loaded, everything escaped. */

import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { OAuthError } from '../errors.js'
import { html, type Html } from './html.js'
import { forbidStoring } from './request.js'

const style =
  'body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1.5rem;color:#1d2433;background:#fff}' +
  'h1{font-size:1.35rem;margin:0 0 .5rem}p{margin:.75rem 0}a{color:#0b57d0}code{color:#5b6478}' +
  'aside{margin-top:2rem;padding:.25rem 1rem;border-left:3px solid #c7ccd6;color:#3c4558}' +
  '@media(prefers-color-scheme:dark){body{background:#14171f;color:#e6e9f0}a{color:#8ab4f8}aside{color:#b6bdcc;border-color:#3c4558}code{color:#98a1b3}}'

/** Sends pages of one style, whose forms may be sent to this site, or nowhere. */
export function pageSender(style: string, formAction: 'self' | 'none'): PageSender {
  const contentSecurityPolicy = [
    "default-src 'none'",
    `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
    "base-uri 'none'",
    `form-action '${formAction}'`,
    "frame-ancestors 'none'",
  ].join('; ')
  return (res, status, title, content) => {
    forbidStoring(res)
    res.statusCode = status
    res.setHeader('content-type', 'text/html; charset=utf-8')
    res.setHeader('content-security-policy', contentSecurityPolicy)
    const head = html`<!doctype html>
      <html lang="en">
        <meta charset="utf-8" /><meta name="viewport" content="width=device-width" /><title>${title}</title>
      </html>`
    res.end(`${head}<style>${style}</style>${html`<main>${content}</main></html>`}`)
  }
}

export type PageSender = (res: ServerResponse, status: number, title: string, content: Html) => void

const sendPlainPage = pageSender(style, 'none')

/**
 * What went wrong, and a way on. The server's own words and the hint are for the developer, and shown only when
 * `forDeveloper` is set.
 */
export function sendErrorPage(
  res: ServerResponse,
  error: OAuthError,
  wayOn: string,
  forDeveloper: boolean,
): void {
  const said = [error.serverError?.error, error.serverError?.error_description].filter(Boolean).join(': ')
  const developer = [
    error.message === error.publicMessage ? '' : error.message,
    said && `The server said: ${said}`,
    error.hint === undefined || error.message.includes(error.hint) ? '' : error.hint,
    error.reason === undefined ? '' : `Reason: ${error.reason}`,
  ].filter(Boolean)
  sendPage(res, error.status, titleOf(error), [
    html`<p>${error.publicMessage}</p>`,
    html`<p><a href="${wayOn}">Go on to the site</a></p>`,
    html`<p><code>${error.code}</code></p>`,
    forDeveloper && developer.length > 0
      ? html`<aside>
          <p>Shown only because this site runs on localhost:</p>
          ${developer.map((line) => html`<p>${line}</p>`)}
        </aside>`
      : html``,
  ])
}

function titleOf({ status }: OAuthError): string {
  if (status >= 500) return 'Something is wrong'
  return status === 403 ? 'No access' : 'That did not work'
}

/**
 * A page that moves on by itself. A posted form that is answered by a redirect to another site is blocked by browsers
 * where the form's page has the policy `form-action 'self'`, which many apps have without knowing.
 */
export function sendMovingOnPage(res: ServerResponse, location: string, title = 'Signing out'): void {
  res.setHeader('refresh', `0; url=${location}`)
  sendPage(res, 200, title, [html`<p><a href="${location}">Continue</a></p>`])
}

/** A page with nothing on it, which any site may put into a frame. */
export function sendFramedPage(res: ServerResponse): void {
  forbidStoring(res)
  res.statusCode = 200
  res.setHeader('content-type', 'text/html; charset=utf-8')
  res.setHeader('content-security-policy', "default-src 'none'")
  res.end('<!doctype html><html lang="en"><meta charset="utf-8"><title>Signed out</title></html>')
}

function sendPage(res: ServerResponse, status: number, title: string, content: readonly Html[]): void {
  sendPlainPage(
    res,
    status,
    title,
    html`<h1>${title}</h1>
      ${content}`,
  )
}
