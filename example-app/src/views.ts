/** The pages of the app. */

import type { Auth } from 'express-oauth-kit'
import { html, trusted, type Html } from './html.js'
import type { NewProject, Project, Report } from './projects.js'
import type { SignIn } from './sign-ins.js'
import type { Issue } from './token-watch.js'

/** Who looks at a page (nobody: `undefined`), which one it is, and which instance answers where there are several. */
export interface Viewer {
  readonly auth: Auth | undefined
  readonly path: string
  readonly instance: string | undefined
}

export function welcomePage(viewer: Viewer): Html {
  return layout(
    'Welcome',
    viewer,
    html`
      <section class="hero">
        <h1>All your projects, in one calm place.</h1>
        <p class="lead">
          You sign in at a server that you trust already. This app never sees your password, and no script can
          read the tokens that it gets.
        </p>
        <p><a class="button primary" href="/login?returnTo=/">Sign in</a></p>
      </section>
      <ol class="cards steps">
        <li class="card">
          <strong>Sign in</strong>
          <span>at another server. It asks you what this app may do as you.</span>
        </li>
        <li class="card">
          <strong>Look around</strong>
          <span>The projects come from an API. The app calls it with your access token.</span>
        </li>
        <li class="card">
          <strong>Do more</strong>
          <span>More permissions are asked for when you first need them, not before.</span>
        </li>
      </ol>
      <p class="note">
        There is a single-page app, too: <a href="/spa">the same projects</a>, by a script that never sees a
        token.
      </p>
    `,
  )
}

export function homePage(viewer: Viewer, auth: Auth): Html {
  return layout(
    'Home',
    viewer,
    html`
      <h1>Hello, ${nameOf(auth)}</h1>
      <p class="lead">You are signed in. What would you like to do?</p>
      <div class="cards">
        ${card('/projects', 'See the projects', 'The app asks the API for them, with your access token.', 'read:projects')}
        ${card('/projects/new', 'Start a project', 'Asks for your permission, the first time.', 'write:projects')}
        ${card('/admin', 'Read the report', 'For administrators only: not everybody is let in.', 'admin:read')}
        ${card('/sign-ins', 'See who signed in', 'For people whom the server calls an administrator.', 'admin')}
        ${card('/recovery-codes', 'See your recovery codes', 'Asks for your password, unless you gave it just now.')}
        ${card('/connected', 'Connect other services', 'Accounts elsewhere, which the app uses for you from then on.')}
        ${card('/session', 'Look at your session', 'What the app knows about you.')}
        ${card('/spa', 'Work in a single page', 'The projects again, by a script that never sees a token.')}
      </div>
      <p class="note">
        The projects are there for programs, too: <a href="/projects.json">/projects.json</a> takes your
        session or an access token.
      </p>
    `,
  )
}

function card(href: string, title: string, text: string, scope?: string): Html {
  return html`<a class="card" href="${href}">
    <strong>${title}</strong>
    <span>${text}</span>
    ${scope !== undefined && badge(scope)}
  </a>`
}

export function projectsPage(viewer: Viewer, projects: readonly Project[]): Html {
  return layout(
    'Projects',
    viewer,
    html`
      <div class="title-row">
        <h1>Projects</h1>
        <a class="button primary" href="/projects/new">New project</a>
      </div>
      <div class="table">
        <table>
          <thead>
            <tr>
              <th scope="col">Project</th>
              <th scope="col">Owner</th>
              <th scope="col" class="roomy">Since</th>
            </tr>
          </thead>
          <tbody>
            ${projects.map(projectRow)}
          </tbody>
        </table>
      </div>
    `,
  )
}

function projectRow({ name, description, owner, createdAt }: Project): Html {
  return html`<tr>
    <td><strong>${name}</strong><small>${description}</small></td>
    <td>${owner}</td>
    <td class="roomy">${date(createdAt)}</td>
  </tr>`
}

export function newProjectPage(viewer: Viewer, values?: NewProject, problem?: string): Html {
  const invalid = problem !== undefined && trusted('aria-invalid="true" aria-describedby="problem"')
  return layout(
    'New project',
    viewer,
    html`
      <h1>New project</h1>
      <p class="lead">Everybody who can see projects will see it.</p>
      ${problem !== undefined && html`<p class="alert narrow" role="alert" id="problem">${problem}</p>`}
      <form method="post" action="/projects" class="panel stack narrow">
        <div class="field">
          <label for="name">Name</label>
          <input
            id="name"
            name="name"
            value="${values?.name}"
            autocomplete="off"
            required
            autofocus
            ${invalid}
          />
        </div>
        <div class="field">
          <label for="description">Description <small>if you like</small></label>
          <textarea id="description" name="description" rows="3">${values?.description}</textarea>
        </div>
        <div class="actions">
          <button class="button primary">Create project</button>
          <a class="button" href="/projects">Cancel</a>
        </div>
      </form>
    `,
  )
}

export function reportPage(viewer: Viewer, { total, owners }: Report): Html {
  const rows = owners.map(
    ({ owner, projects }) =>
      html`<tr>
        <td>${owner}</td>
        <td class="number">${projects}</td>
      </tr>`,
  )
  return layout(
    'Report',
    viewer,
    html`
      <h1>Report</h1>
      <p class="lead">Who owns how many of the ${total} projects. Only administrators see this.</p>
      <div class="table narrow">
        <table>
          <thead>
            <tr>
              <th scope="col">Owner</th>
              <th scope="col" class="number">Projects</th>
            </tr>
          </thead>
          <tbody>
            ${rows}
          </tbody>
        </table>
      </div>
    `,
  )
}

export function signInsPage(viewer: Viewer, signIns: readonly SignIn[]): Html {
  const rows = signIns.map(
    ({ subject, at }) =>
      html`<tr>
        <td>${subject}</td>
        <td>${time(at / 1000)}</td>
      </tr>`,
  )
  return layout(
    'Sign-ins',
    viewer,
    html`
      <h1>Sign-ins</h1>
      <p class="lead">
        Who signed in since this demo was started. You see it because the claim <code>roles</code> of your
        sign-in has <code>admin</code> in it.
      </p>
      <div class="table narrow">
        <table>
          <thead>
            <tr>
              <th scope="col">Who</th>
              <th scope="col">When</th>
            </tr>
          </thead>
          <tbody>
            ${rows}
          </tbody>
        </table>
      </div>
    `,
  )
}

export function recoveryCodesPage(viewer: Viewer, codes: readonly string[]): Html {
  return layout(
    'Recovery codes',
    viewer,
    html`
      <h1>Recovery codes</h1>
      <p class="lead">
        You see them because you signed in within the last minute. Whoever comes by later, while your browser
        is still open, is asked for your password.
      </p>
      <ul class="panel codes">
        ${codes.map((code) => html`<li><code>${code}</code></li>`)}
      </ul>
      <p class="actions"><a class="button" href="/recovery-codes">Look again</a></p>
      <p class="note">
        Clocks may differ by half a minute, so that is how much longer they are shown. The codes open nothing:
        this is a demo.
      </p>
    `,
  )
}

export function sessionPage(viewer: Viewer, auth: Auth, storage: string, issues: readonly Issue[]): Html {
  const claims = Object.entries(auth.claims).map(
    ([name, value]) =>
      html`<tr>
        <th scope="row"><code>${name}</code></th>
        <td><code>${typeof value === 'string' ? value : JSON.stringify(value)}</code></td>
      </tr>`,
  )
  return layout(
    'Session',
    viewer,
    html`
      <h1>Your session</h1>
      <p class="lead">
        What this app knows about you. Your browser holds none of the tokens in readable form.
      </p>
      <dl class="panel facts">
        <dt>Signed in as</dt>
        <dd>${nameOf(auth)}</dd>
        <dt>Ends</dt>
        <dd>${time(auth.expiresAt)}</dd>
        <dt>Kept in</dt>
        <dd>${storage === 'session' ? 'the session store of the app' : 'a sealed cookie'}</dd>
        <dt>Scopes</dt>
        <dd class="badges">${auth.scopes.map(badge)}</dd>
      </dl>
      ${tokensSection(issues)}
      <h2>Claims</h2>
      <div class="table">
        <table>
          <tbody>
            ${claims}
          </tbody>
        </table>
      </div>
      <h2>Other browsers</h2>
      <form method="post" action="/session/end-all" class="panel row">
        <p>Ends all your sessions with this app, this one included.</p>
        <button class="button danger">Sign me out everywhere</button>
      </form>
    `,
  )
}

function tokensSection(issues: readonly Issue[]): Html {
  const [newest, before] = issues
  return html`
    <h2 id="tokens">Your tokens</h2>
    ${newest && before && html`<p class="notice" role="status">${whatHappened(newest, before)}</p>`}
    ${newest && tokensTable(issues)}
    <div class="actions">
      <form method="post" action="/session/expire">
        <button class="button primary">Expire my access token</button>
      </form>
      <form method="post" action="/session/ten">
        <button class="button">Ten requests at once</button>
      </form>
    </div>
    <p class="note">
      Either button asks the authorization server for an access token that lives one second, and waits until
      it is over. What comes next needs a good one, so it is refreshed. Servers other than the demo’s decide
      for themselves how long a token lives: there you see the exchange alone.
    </p>
  `
}

function whatHappened(newest: Issue, before: Issue): Html {
  const { refreshToken, instance = 'the app', took, at } = newest
  const isRotated = refreshToken !== before.refreshToken
  const { endsAt = Infinity } = before
  return html`Access token
    <code>${before.accessToken}</code> ${at >= endsAt ? 'was over' : html`had ${duration(endsAt - at)} left`},
    so ${instance} refreshed it in ${took} ms. <code>${newest.accessToken}</code> took its place, and the
    refresh token was ${isRotated ? 'replaced, too: each is good for one use' : 'kept'}.`
}

function tokensTable(issues: readonly Issue[]): Html {
  const row = (issue: Issue, index: number) => {
    const { accessToken, refreshToken, endsAt = Infinity, refreshes, instance, took } = issue
    const left = endsAt - Date.now()
    const isCurrent = index === 0
    const isUsed = !isCurrent && refreshToken !== issues[index - 1]?.refreshToken
    const state = isCurrent ? `${duration(left)} left` : left > 0 ? 'replaced' : 'over'
    return html`<tr ${!isCurrent && trusted('class="past"')}>
      <td><code>${accessToken}</code><small>${state}</small></td>
      <td>
        <code>${refreshToken ?? 'none'}</code
        >${refreshToken && html`<small>${isUsed ? 'used' : 'in use'}</small>`}
      </td>
      <td>
        ${refreshes === 0 ? 'Sign-in' : `Refresh\u00a0${refreshes}`}<small
          >${instance !== undefined && `${instance}, `}${took} ms</small
        >
      </td>
    </tr>`
  }
  return html`<div class="table tokens">
    <table>
      <thead>
        <tr>
          <th scope="col">Access token</th>
          <th scope="col">Refresh token</th>
          <th scope="col">Came by</th>
        </tr>
      </thead>
      <tbody>
        ${issues.map(row)}
      </tbody>
    </table>
    <p class="caption">Short fingerprints. The tokens themselves are never shown.</p>
  </div>`
}

export function tenPage(viewer: Viewer): Html {
  const tiles = Array.from(
    { length: 10 },
    (_none, index) =>
      html`<li class="card" data-request><strong>Request ${index + 1}</strong><span>under way …</span></li>`,
  )
  return layout(
    'Ten requests at once',
    viewer,
    html`
      <h1>Ten requests at once</h1>
      <p class="lead">
        Your access token was over. Your browser sends ten requests, and each of them needs a good one.
      </p>
      <p class="notice" role="status" data-sum data-since="${Date.now()}">
        <noscript>This page needs JavaScript.</noscript>
      </p>
      <ol class="cards tiles">
        ${tiles}
      </ol>
      <div class="actions">
        <form method="post" action="/session/ten"><button class="button primary">Once more</button></form>
        <a class="button" href="/session#tokens">Back to the session</a>
      </div>
      <script src="/ten.js" type="module"></script>
    `,
  )
}

export function signedOutPage(viewer: Viewer): Html {
  return layout(
    'Signed out',
    viewer,
    html`
      <section class="narrow">
        <h1>You are signed out everywhere</h1>
        <p class="lead">
          All your sessions with this app are over. Other browsers notice at their next click, whichever
          instance answers them. The sign-in server may still know you there.
        </p>
        <p class="actions"><a class="button primary" href="/">To the start page</a></p>
      </section>
    `,
  )
}

/** What a page says when something did not work. `detail` is for the developer. */
export function messagePage(
  viewer: Viewer,
  status: number,
  title: string,
  text: string,
  detail?: string,
): Html {
  const { path } = viewer
  const signIn = html`<a class="button primary" href="/login?returnTo=${encodeURIComponent(path)}"
    >Sign in</a
  >`
  return layout(
    title,
    viewer,
    html`
      <section class="narrow">
        <p class="status">${status}</p>
        <h1>${title}</h1>
        <p class="lead">${text}</p>
        <p class="actions">${status === 401 && signIn}<a class="button" href="/">To the start page</a></p>
        ${detail !== undefined && html`<p class="note detail">For developers: ${detail}</p>`}
      </section>
    `,
  )
}

/** The frame of every page. `style` is a further stylesheet of `public`. */
export function layout(title: string, viewer: Viewer, content: Html, style?: string): Html {
  const { auth, path, instance } = viewer
  const link = (href: string, text: string) =>
    html`<a href="${href}" ${path === href && trusted('aria-current="page"')}>${text}</a>`
  const signedIn = () => html`
    <nav aria-label="Main">
      ${link('/projects', 'Projects')} ${link('/connected', 'Connections')} ${link('/admin', 'Report')}
      ${link('/session', 'Session')}
    </nav>
    <form method="post" action="/logout" class="user">
      <span>${auth && nameOf(auth)}</span>
      <button class="button small">Sign out</button>
    </form>
  `
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} – Projects</title>
        <link rel="icon" href="/projects.svg" />
        <link rel="stylesheet" href="/style.css" />
        ${style !== undefined && html`<link rel="stylesheet" href="/${style}" />`}
      </head>
      <body>
        <header class="top">
          <a class="brand" href="/"><img src="/projects.svg" alt="" width="28" height="28" /> Projects</a>
          ${auth ? signedIn() : html`<a class="button small" href="/login?returnTo=/">Sign in</a>`}
        </header>
        <main>${content}</main>
        <footer class="bottom">
          A demo of
          express-oauth-kit.${instance !== undefined && html` This page came from <b>${instance}</b>.`}
        </footer>
      </body>
    </html>`
}

function nameOf({ claims, subject }: Auth): string {
  return typeof claims['name'] === 'string' ? claims['name'] : (subject ?? 'you')
}

export function badge(scope: string): Html {
  return html`<code class="badge">${scope}</code>`
}

function date(iso: string): Html {
  const text = new Date(iso).toLocaleDateString('en-GB', { dateStyle: 'medium' })
  return html`<time datetime="${iso}">${text}</time>`
}

export function time(seconds: number): Html {
  const moment = new Date(seconds * 1000)
  const text = moment.toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'long' })
  return html`<time datetime="${moment.toISOString()}">${text}</time>`
}

function duration(milliseconds: number): string {
  if (milliseconds === Infinity) return 'a time that the server did not say'
  return `${Math.max(0, Math.round(milliseconds / 1000))} s`
}
