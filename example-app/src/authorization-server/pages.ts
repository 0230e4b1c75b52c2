/** The pages of "Example ID": sign in, agree, sign out, and what went wrong. */

import { html, trusted, type Html } from '../html.js'
import type { Account } from './accounts.js'
import { meaning } from './scopes.js'

/** Who wants something of the user, and where the answer of the user's form goes. */
export interface Request {
  readonly action: string
  readonly clientName: string
}

export function loginPage({ action, clientName }: Request, username = '', refused = false): Html {
  const error = html`<p class="alert" role="alert" id="error">
    That user name and password do not belong together.
  </p>`
  return page(
    'Sign in',
    html`
      <h1>Sign in</h1>
      <p class="lead">to continue to <b>${clientName}</b></p>
      ${refused && error}
      <form method="post" action="${action}/login" class="stack">
        <div class="field">
          <label for="username">User name</label>
          <input
            id="username"
            name="username"
            value="${username}"
            autocomplete="username"
            autocapitalize="none"
            spellcheck="false"
            required
            ${refused && trusted('aria-describedby="error"')}
            ${!refused && trusted('autofocus')}
          />
        </div>
        <div class="field">
          <label for="password">Password</label>
          <input
            id="password"
            name="password"
            type="password"
            autocomplete="current-password"
            required
            ${refused && trusted('aria-invalid="true" aria-describedby="error" autofocus')}
          />
        </div>
        <button class="button primary wide">Sign in</button>
      </form>
      <form method="post" action="${action}/deny">
        <button class="button quiet wide">Cancel and go back</button>
      </form>
      <p class="note">
        A demo with two people: <b>alice</b> may do everything, <b>bob</b> has no admin rights. The password
        is the name.
      </p>
    `,
  )
}

export function consentPage(
  { action, clientName }: Request,
  account: Account,
  scopes: readonly string[],
): Html {
  const granted = scopes.filter((scope) => account.mayGrant(scope))
  const refused = scopes.filter((scope) => !account.mayGrant(scope))
  return page(
    'Allow access',
    html`
      <h1>Allow access?</h1>
      <p class="lead"><b>${clientName}</b> asks to do this as you:</p>
      <ul class="scopes">
        ${granted.map(scopeItem)}
      </ul>
      ${
        refused.length > 0 &&
        html`
          <p class="lead">It also asked for the following, which your account does not have:</p>
          <ul class="scopes refused">
            ${refused.map(scopeItem)}
          </ul>
        `
      }
      <form method="post" action="${action}/consent">
        <button class="button primary wide">Allow</button>
      </form>
      <form method="post" action="${action}/deny">
        <button class="button wide">Deny</button>
      </form>
      <p class="note">You are signed in as <b>${account.name}</b> (${account.email}).</p>
    `,
  )
}

function scopeItem(scope: string): Html {
  return html`<li><span>${meaning(scope)}</span><code class="badge">${scope}</code></li>`
}

/**
 * Asks before signing out, unless `expected`: then a script presses the button at once. `form` is the markup of
 * oidc-provider, with the id `op.logoutForm`.
 */
export function logoutPage(form: string, expected: boolean): Html {
  const signOut = html`<button
    class="button primary wide"
    form="op.logoutForm"
    name="logout"
    value="yes"
    ${expected && trusted('data-press')}
  >
    Sign out
  </button>`
  return page(
    'Sign out',
    html`
      <h1>${expected ? 'Signing you out…' : 'Sign out?'}</h1>
      <p class="lead">This ends your sign-in at Example ID.</p>
      ${trusted(form)} ${signOut}
      ${!expected && html`<button class="button wide" form="op.logoutForm">Stay signed in</button>`}
      ${expected && html`<script src="/press.js" defer></script>`}
    `,
  )
}

export function messagePage(title: string, text: string, detail?: string): Html {
  return page(
    title,
    html`
      <h1>${title}</h1>
      <p class="lead">${text}</p>
      ${detail !== undefined && html`<p class="note"><code>${detail}</code></p>`}
    `,
  )
}

function page(title: string, content: Html): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} – Example ID</title>
        <link rel="icon" href="/example-id.svg" />
        <link rel="stylesheet" href="/style.css" />
      </head>
      <body class="id">
        <main class="id-card">
          <p class="id-brand"><img src="/example-id.svg" alt="" width="28" height="28" /> Example ID</p>
          ${content}
        </main>
        <footer class="id-footer">
          Example ID is the authorization server of this demo. It is not the app.
        </footer>
      </body>
    </html>`
}
