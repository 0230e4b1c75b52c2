/** The pages of a provider, which must not look like those of the app: people are somewhere else here. */

import { html, type Html } from '../html.js'
import type { Service, ServiceAccount } from './service.js'

/** Who wants something of the user, and where the answer of the user's form goes. */
export interface Request {
  readonly action: string
  readonly clientName: string
}

/** An application that has access to an account. */
export interface GrantedApp {
  readonly name: string
  readonly scopes: readonly string[]
  /** Seconds since the epoch. */
  readonly since: number
}

export function choicePage(service: Service, { action, clientName }: Request): Html {
  return page(
    service,
    'Sign in',
    html`
      <h1>Who are you?</h1>
      <p class="lead">You go on to <b>${clientName}</b> afterwards.</p>
      <form method="post" action="${action}/login" class="accounts">
        ${service.accounts.map(
          (account) =>
            html`<button class="account" name="account" value="${account.id}">${about(account)}</button>`,
        )}
      </form>
      <form method="post" action="${action}/deny">
        <button class="button quiet wide">Cancel and go back</button>
      </form>
      <p class="note">A demo, so there are no passwords here.</p>
    `,
  )
}

export function consentPage(
  service: Service,
  { action, clientName }: Request,
  account: ServiceAccount,
  scopes: readonly string[],
): Html {
  return page(
    service,
    'Allow access',
    html`
      <h1>Connect ${clientName} to your ${service.accountWord}?</h1>
      <div class="account chosen">${about(account)}</div>
      <p><b>${clientName}</b> asks to do this, until you take it back:</p>
      ${scopeList(service, scopes)}
      <form method="post" action="${action}/consent">
        <button class="button primary wide">Allow</button>
      </form>
      <form method="post" action="${action}/deny"><button class="button wide">Deny</button></form>
      <form method="post" action="${action}/another">
        <button class="button quiet wide">Use another ${service.accountWord}</button>
      </form>
    `,
  )
}

export function startPage(service: Service): Html {
  return page(
    service,
    'Settings',
    html`
      <h1>Your settings</h1>
      <p class="lead">Whose settings would you like to see?</p>
      <nav class="accounts" aria-label="Accounts">
        ${service.accounts.map(
          (account) => html`<a class="account" href="/settings/${account.id}">${about(account)}</a>`,
        )}
      </nav>
      <p class="note">A demo, so there are no passwords here.</p>
    `,
  )
}

export function settingsPage(service: Service, account: ServiceAccount, app: GrantedApp | undefined): Html {
  const granted = (one: GrantedApp) => html`
    <p><b>${one.name}</b> has access since ${moment(one.since)}:</p>
    ${scopeList(service, one.scopes)}
    <form method="post" action="/settings/${account.id}/remove">
      <button class="button danger wide">Remove this app’s access</button>
    </form>
  `
  return page(
    service,
    'Apps with access',
    html`
      <h1>Apps with access</h1>
      <div class="account chosen">${about(account)}</div>
      ${app ? granted(app) : html`<p class="lead">No app has access to this ${service.accountWord}.</p>`}
      <p class="note"><a href="/">Another ${service.accountWord}</a></p>
    `,
  )
}

export function messagePage(service: Service, title: string, text: string, detail?: string): Html {
  return page(
    service,
    title,
    html`
      <h1>${title}</h1>
      <p class="lead">${text}</p>
      ${detail !== undefined && html`<p class="note"><code>${detail}</code></p>`}
    `,
  )
}

function about({ person, name, place }: ServiceAccount): Html {
  return html`<span><b>${name}</b><small>${person}, ${place}</small></span>`
}

function scopeList({ scopes: meanings }: Service, scopes: readonly string[]): Html {
  return html`<ul class="scopes">
    ${scopes.map((scope) => html`<li><span>${meanings[scope]}</span><code class="badge">${scope}</code></li>`)}
  </ul>`
}

function moment(seconds: number): Html {
  const at = new Date(seconds * 1000)
  const text = at.toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' })
  return html`<time datetime="${at.toISOString()}">${text}</time>`
}

function page(service: Service, title: string, content: Html): Html {
  const { key, name, slogan } = service
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} – ${name}</title>
        <link rel="icon" href="/${key}.svg" />
        <link rel="stylesheet" href="/style.css" />
        <link rel="stylesheet" href="/provider.css" />
      </head>
      <body class="provider ${key}">
        <header class="provider-top">
          <a href="/"><img src="/${key}.svg" alt="" width="36" height="36" /> ${name}</a>
          <span>${slogan}</span>
        </header>
        <main>${content}</main>
        <footer class="bottom">${name} is a service of its own in this demo. It is not the app.</footer>
      </body>
    </html>`
}
