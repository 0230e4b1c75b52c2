/** The pages about connections. */

import type { ConnectionField, ConnectionView, ConnectOutcome } from 'express-oauth-kit'
import { html, trusted, type Html } from '../html.js'
import { badge, layout, time, type Viewer } from '../views.js'
import type { Entry } from './journal.js'
import type { ProviderClients, Table } from './providers.js'

/** What the user did just now to a connection. */
export interface Done {
  readonly what: 'expire' | 'break' | 'away'
  readonly id: string
}

export interface ConnectionsPage {
  readonly list: readonly ConnectionView[]
  readonly providers: Readonly<Record<string, AskedProvider>>
  readonly clients: ProviderClients
  /** What came of connecting, when the user comes back from there. */
  readonly outcome: ConnectOutcome | undefined
  readonly done: Done | undefined
  readonly journal: readonly Entry[]
  /** Where connections are kept, in words. */
  readonly place: string
}

interface AskedProvider {
  readonly name: string
  readonly fields?: Readonly<Record<string, ConnectionField>>
}

const style = 'connections.css'

const abouts: Readonly<Record<string, string>> = {
  projects: 'Shows the projects of a workspace, which is kept in one of two regions.',
  hotel: 'Shows the free rooms of a house, and who arrives today.',
}

export function connectionsPage(viewer: Viewer, page: ConnectionsPage): Html {
  const { list, providers, outcome, done, journal, place } = page
  return layout(
    'Connections',
    viewer,
    html`
      <div class="title-row">
        <h1>Connections</h1>
        <p class="pages"><b>The app’s page</b> <a href="/connections">The ready page</a></p>
      </div>
      <p class="lead">
        Your accounts at other services. You connect one once; from then on this app can use it for you, also
        while you are away.
      </p>
      ${outcome && outcomeNotice(outcome, page)} ${done && doneNotice(done, list)}
      <div class="connections-layout">
        <div>
          ${
            list.length === 0
              ? html`<p class="panel nothing-yet">Nothing is connected yet. Choose a service below.</p>`
              : html`<ul class="connections">
                  ${list.map((connection) => connectionItem(connection, page))}
                </ul>`
          }
          <h2>Connect ${list.length === 0 ? 'a service' : 'another account'}</h2>
          <div class="cards services">
            ${Object.entries(providers).map(([key, provider]) => connectCard(key, provider, outcome))}
          </div>
          <p class="note">Connections are kept ${place}. Their tokens are sealed.</p>
        </div>
        ${journalPanel(journal)}
      </div>
    `,
    style,
  )
}

function connectionItem(connection: ConnectionView, { clients }: ConnectionsPage): Html {
  const {
    id,
    provider,
    provider_name: name,
    label,
    status,
    reason,
    message,
    account_id: account,
    fields,
  } = connection
  const details = [name, account, ...Object.values(fields).map((value) => value.toUpperCase())]
  const isOver = status === 'disconnected'
  const settings = `${clients[provider as keyof ProviderClients]?.url}/settings/${encodeURIComponent(account)}`
  return html`<li class="panel connection" id="${id}" data-status="${status}">
    <div class="connection-head">
      <img src="/${icons[provider] ?? 'projects'}.svg" alt="" width="40" height="40" />
      <div>
        <h3>${label}</h3>
        <p>${details.join(' · ')}</p>
      </div>
      <span class="state">${states[status]}</span>
    </div>
    ${message !== undefined && html`<p class="alert">${message}</p>`}
    ${isOver && html`<p class="over">You have disconnected it. The app keeps no access to it.</p>`}
    <div class="actions">
      ${
        status === 'active'
          ? html`<a class="button primary small" href="/connected/${id}">Use it</a>`
          : action(id, 'reconnect', 'Connect again', 'primary')
      }
      ${(status === 'active' || reason === 'test_refused') && action(id, 'test', 'Test')}
      ${!isOver && action(id, 'disconnect', 'Disconnect')} ${action(id, 'remove', 'Remove', 'danger')}
    </div>
    <details>
      <summary>${status === 'active' ? 'Rename, or break it' : 'Rename'}</summary>
      <form method="post" action="/connections/${id}/rename" class="rename">
        ${back()}
        <label for="label-${id}">Label</label>
        <input id="label-${id}" name="label" value="${label}" maxlength="120" autocomplete="off" />
        <button class="button small">Rename</button>
      </form>
      ${
        status === 'active' &&
        html`<ul class="breaking">
          <li>
            ${own(id, 'expire', 'Expire the access token')}
            <small>The next use needs another one, and gets it.</small>
          </li>
          <li>
            ${own(id, 'away', `Let ${name} be away for a moment`)}
            <small>Nothing is lost by that: try what you like meanwhile.</small>
          </li>
          <li>
            ${own(id, 'break', 'Break it: remove access at the provider', 'danger')}
            <small
              >As in <a href="${settings}">your settings there</a>. The app finds out when it needs it.</small
            >
          </li>
        </ul>`
      }
      <p class="note">
        Connected ${time(connection.connected_at)}, last tried ${time(connection.checked_at)}, may do
        ${connection.scope.split(' ').filter(Boolean).map(badge)}
      </p>
    </details>
  </li>`
}

const states: Readonly<Record<ConnectionView['status'], string>> = {
  active: 'Works',
  needs_reconnect: 'Needs you',
  disconnected: 'Disconnected',
}

const icons: Readonly<Record<string, string>> = { projects: 'projects-eu', hotel: 'hotel' }

/** Answered by the package, which leads back here. */
function action(id: string, verb: string, text: string, look = ''): Html {
  return html`<form method="post" action="/connections/${id}/${verb}">
    ${back()}<button class="button small ${look}">${text}</button>
  </form>`
}

/** Answered by this app. */
function own(id: string, verb: string, text: string, look = ''): Html {
  return html`<form method="post" action="/connected/${id}/${verb}">
    <button class="button small ${look}">${text}</button>
  </form>`
}

function back(): Html {
  return html`<input type="hidden" name="return_to" value="/connected" />`
}

function connectCard(
  key: string,
  { name, fields = {} }: AskedProvider,
  outcome: ConnectOutcome | undefined,
): Html {
  // What was wrong, and what was filled in then, so that nobody has to do it again.
  const { fields: problems = {}, values = {} } =
    outcome?.action === 'connect' && outcome.provider === key ? outcome : {}
  return html`<form method="post" action="/connections/${key}/connect" class="card connect" novalidate>
    ${back()}
    <strong><img src="/${icons[key] ?? 'projects'}.svg" alt="" width="24" height="24" /> ${name}</strong>
    <span>${abouts[key]}</span>
    ${Object.entries(fields).map(([field, asked]) => fieldOf(`${key}-${field}`, field, asked, problems[field], values[field]))}
    <button class="button primary">Connect</button>
  </form>`
}

function fieldOf(
  id: string,
  name: string,
  field: ConnectionField,
  problem: string | undefined,
  filledIn = '',
): Html {
  const { label, choices, required = true, help } = field
  const described = html`aria-describedby="${id}-help"${problem !== undefined && trusted(' aria-invalid="true"')}`
  const options = Array.isArray(choices) ? choices.map((one) => [one, one]) : Object.entries(choices ?? {})
  return html`<div class="field">
    <label for="${id}">${label} ${!required && html`<small>if you like</small>`}</label>
    ${
      choices === undefined
        ? html`<input id="${id}" name="${name}" value="${filledIn}" autocomplete="off" ${described} />`
        : html`<select id="${id}" name="${name}" ${described}>
            <option value="">Choose</option>
            ${options.map(([value, text]) => html`<option value="${value}" ${value === filledIn && trusted('selected')}>${text}</option>`)}
          </select>`
    }
    <small id="${id}-help" ${problem !== undefined && trusted('class="problem-text"')}
      >${problem ?? help}</small
    >
  </div>`
}

function outcomeNotice(outcome: ConnectOutcome, { list, providers }: ConnectionsPage): Html | undefined {
  const { status, provider, connection: id } = outcome
  const name = providers[provider]?.name ?? provider
  const connection = list.find((one) => one.id === id)
  if (status === 'failed') return failureNotice(name, connection?.label ?? name, outcome)
  const label = html`<b>${connection?.label ?? name}</b>`
  const tested =
    connection?.status === 'active'
      ? html`${label} was tested just now, and works.`
      : html`${label} was tested just now, and does not work any more.`
  const words: Record<typeof status, Html> = {
    connected: html`${label} is connected.`,
    reconnected: html`${label} is connected again. It is the same connection as before.`,
    renamed: html`It is called ${label} from now on.`,
    tested,
    disconnected: html`${label} is disconnected. The app uses it no more.`,
    removed: html`A connection to ${label} is forgotten.`,
  }
  return html`<p class="notice" role="status">${words[status]}</p>`
}

/** `message` is for the user, and `hint` for whoever looks after the app, who reads this page here. */
function failureNotice(name: string, label: string, outcome: ConnectOutcome): Html {
  const { message, provider_error: error, provider_error_description: said, hint } = outcome
  return html`<div class="alert" role="alert">
    <p><b>${label}: this did not work.</b> ${message}</p>
    ${error !== undefined && html`<p>${name} says: “${said ?? error}” <code>${error}</code></p>`}
    ${hint !== undefined && html`<p class="hint">For developers: ${hint}</p>`}
  </div>`
}

function doneNotice({ what, id }: Done, list: readonly ConnectionView[]): Html | undefined {
  const connection = list.find((one) => one.id === id)
  if (!connection) return undefined
  const { label, provider_name: name } = connection
  const words: Record<Done['what'], Html> = {
    expire: html`The access token of <b>${label}</b> is over. Use it: the app gets another one on the way.`,
    break: html`${name} has ended the access to <b>${label}</b>. The app does not know yet: use it, or test
      it.`,
    away: html`${name} answers nobody for some seconds. Use <b>${label}</b>, or test it.`,
  }
  return html`<p class="notice" role="status">${words[what]}</p>`
}

function journalPanel(journal: readonly Entry[]): Html {
  return html`<aside class="panel journal" aria-labelledby="journal-heading">
    <h2 id="journal-heading">What happens behind it</h2>
    ${
      journal.length === 0
        ? html`<p class="note">Requests to the services, and what the app hears of your connections.</p>`
        : html`<ol>
            ${journal.slice(0, 20).map(
              ({ at, kind, text, word }) =>
                html`<li class="${kind}">
                  <time datetime="${new Date(at).toISOString()}">${clock(at)}</time>
                  ${text} ${word !== undefined && html`<code>${word}</code>`}
                </li>`,
            )}
          </ol>`
    }
    <p class="note">The newest first. Tokens are never shown.</p>
  </aside>`
}

function clock(at: number): string {
  return new Date(at).toLocaleTimeString('en-GB')
}

/** What the app does with a connection. Without tables it could do nothing. */
export function usePage(
  viewer: Viewer,
  connection: ConnectionView,
  tables: readonly Table[] | undefined,
  took: number,
): Html {
  const { id, label, provider_name: name, status, message } = connection
  return layout(
    label,
    viewer,
    html`
      <p class="crumb"><a href="/connected">Connections</a></p>
      <h1>${label}</h1>
      ${
        tables
          ? html`<p class="lead">${name} answered in ${took} ms, with the access that you gave this app.</p>
              ${tables.map(tableOf)}
              <div class="actions">
                <a class="button" href="/connected/${id}">Ask again</a>
                <a class="button" href="/connected">Back to the connections</a>
              </div>`
          : html`<p class="alert" role="alert">
                ${message ?? `${name} does not answer as it should. The connection is as it was: try again in a moment.`}
              </p>
              <div class="actions">
                ${
                  status === 'active'
                    ? html`<a class="button primary small" href="/connected/${id}">Try again</a>`
                    : action(id, 'reconnect', 'Connect again', 'primary')
                }
                <a class="button small" href="/connected">Back to the connections</a>
              </div>`
      }
    `,
    style,
  )
}

function tableOf({ title, columns, rows }: Table): Html {
  return html`<h2>${title}</h2>
    <div class="table narrow used">
      <table>
        <thead>
          <tr>
            ${columns.map((column) => html`<th scope="col">${column}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            (row) =>
              html`<tr>
                ${row.map((cell) => html`<td>${cell}</td>`)}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`
}

/** Where the app has no connections. */
export function missingPage(viewer: Viewer): Html {
  return layout(
    'Connections',
    viewer,
    html`
      <section class="narrow">
        <h1>Not in this demo</h1>
        <p class="lead">
          Connections are kept in a folder, by a database inside of the app, and the two processes of this
          demo cannot share that. Start it with <code>npm start</code> to see them. In production, a
          PostgreSQL keeps them for any number of processes.
        </p>
        <p class="actions"><a class="button" href="/">To the start page</a></p>
      </section>
    `,
  )
}
