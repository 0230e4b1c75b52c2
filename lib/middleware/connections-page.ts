/** A page on which users see their connections, and connect, test, rename and end them: without a script. */

import type { ServerResponse } from 'node:http'
import type { ConnectionView } from '../connections/connection.js'
import type { AskedField } from '../connections/connection-fields.js'
import type { OptionChecks } from '../options.js'
import type { ConnectOutcome } from './connect-outcome.js'
import { connectionsPageStyle } from './connections-page-style.js'
import { html, type Html } from './html.js'
import { pageSender } from './page.js'

export interface ConnectionsPageOptions {
  /** The heading of the page. Default `Connections`. */
  readonly title?: string
}

/** Nothing when there shall be no page. */
export function checkedConnectionsPage(
  page: boolean | ConnectionsPageOptions | undefined,
  check: OptionChecks,
): Required<ConnectionsPageOptions> | undefined {
  if (page === undefined || page === false) return undefined
  const { title = 'Connections' } = page === true ? {} : page
  const within = check.within('page', page === true ? {} : page, { title: true })
  return { title: within.string('title', title, 'give the heading of the page') }
}

export interface ConnectionsPagePlace extends Required<ConnectionsPageOptions> {
  /** The path of the page, as browsers see it. */
  readonly path: string
  /** The path of the site that it belongs to. */
  readonly home: string
}

/** A provider, as the page offers it. */
export interface OfferedProvider {
  readonly key: string
  readonly name: string
  readonly fields: readonly AskedField[]
}

export interface ConnectionsPageContent {
  readonly connections: readonly ConnectionView[]
  readonly providers: readonly OfferedProvider[]
  readonly outcome: ConnectOutcome | undefined
  /** For the forms, in browsers that do not tell where a form comes from. */
  readonly csrfToken: string
}

export type SendConnectionsPage = (res: ServerResponse, content: ConnectionsPageContent) => void

const sendPage = pageSender(connectionsPageStyle, 'self')

export function connectionsPage({ title, path, home }: ConnectionsPagePlace): SendConnectionsPage {
  return (res, { connections, providers, outcome, csrfToken }) => {
    const nameOf = (key: string) => providers.find((provider) => provider.key === key)?.name ?? key
    const form = (target: string, content: Html) =>
      html`<form method="post" action="${path}/${target}">
        <input type="hidden" name="csrf_token" value="${csrfToken}" /><input
          type="hidden"
          name="return_to"
          value="${path}"
        />${content}
      </form>`

    const card = (connection: ConnectionView, index: number): Html => {
      const { id, label, status, reason, message, provider_name: provider } = connection
      const offered = providers.find(({ key }) => key === connection.provider)
      const isOver = status === 'disconnected'
      const act = (action: string, content: Html) => form(`${id}/${action}`, content)
      const ofLabel = html` <span class="hidden"><bdi>${label}</bdi></span>`
      const confirmed = (action: string, verb: string, question: string) =>
        html`<details>
          <summary>${verb}${ofLabel}</summary>
          <div class="panel">
            <p>${question}</p>
            ${act(action, html`<button class="danger">Yes, ${verb.toLowerCase()}${ofLabel}</button>`)}
          </div>
        </details>`
      return html`<li class="card">
        <article aria-labelledby="connection-${String(index)}">
          <div class="top">
            <div>
              <h3 id="connection-${String(index)}"><bdi>${label}</bdi></h3>
              <p class="soft"><bdi>${provider}</bdi></p>
            </div>
            <p class="badge ${badges[status].kind}">
              <span class="hidden">Status: </span>${badges[status].text}
            </p>
          </div>
          ${reason === undefined || isOver ? undefined : html`<p class="why">${message}</p>`}
          <dl>${details(connection, offered)}</dl>
          <div class="actions">
            ${offered && status !== 'active' ? act('reconnect', html`<button${status === 'needs_reconnect' ? html` class="main"` : undefined}>Connect again${ofLabel}</button>`) : undefined}
            ${offered && !isOver ? act('test', html`<button>Test${ofLabel}</button>`) : undefined}
            <details>
              <summary>Rename${ofLabel}</summary>
              <div class="panel">${act('rename', renameFields(label, index))}</div>
            </details>
            ${isOver ? undefined : confirmed('disconnect', 'Disconnect', 'The site will not be able to use this account any more. You can connect it again later.')}
            ${isOver ? confirmed('remove', 'Remove', 'It will be gone from this list.') : undefined}
          </div>
        </article>
      </li>`
    }

    const offer = ({ key, name, fields }: OfferedProvider): Html => {
      const problems = outcome?.status === 'failed' && outcome.provider === key ? outcome.fields : undefined
      const inputs = fields.map((field) => input(fieldId(key, field.name), field, problems?.[field.name]))
      const button = html`<button class="main">Connect <bdi>${name}</bdi></button>`
      return html`<li class="card">
        ${fields.length > 0 ? html`<h3><bdi>${name}</bdi></h3>` : undefined}${form(`${key}/connect`, html`${inputs}${button}`)}
      </li>`
    }

    const hasFailed = outcome !== undefined && isFailure(outcome, connections)
    sendPage(
      res,
      200,
      hasFailed ? `That did not work – ${title}` : title,
      html`<h1>${title}</h1>
        <p class="soft">
          Your accounts elsewhere that you let this site use. <a href="${home}">Back to the site</a>
        </p>
        ${
          outcome &&
          notice(
            outcome,
            connections,
            providers.find(({ key }) => key === outcome.provider),
            nameOf(outcome.provider),
          )
        }
        <section aria-labelledby="yours">
          <h2 id="yours">Your connections</h2>
          ${
            connections.length > 0
              ? html`<ul role="list">
                  ${connections.map(card)}
                </ul>`
              : html`<p class="card empty soft">Nothing is connected yet.</p>`
          }
        </section>
        <section aria-labelledby="more">
          <h2 id="more">${connections.length > 0 ? 'Connect another account' : 'Connect an account'}</h2>
          <ul role="list">
            ${providers.map(offer)}
          </ul>
        </section>`,
    )
  }
}

const badges = {
  active: { kind: 'good', text: 'Connected' },
  needs_reconnect: { kind: 'warn', text: 'Connect again' },
  disconnected: { kind: '', text: 'Disconnected' },
} as const

function fieldId(provider: string, name: string): string {
  return `field-${provider}-${name}`
}

/** What happened, and whether it is good news. */
function notice(
  outcome: ConnectOutcome,
  connections: readonly ConnectionView[],
  provider: OfferedProvider | undefined,
  providerName: string,
): Html {
  const connection = connections.find(({ id }) => id === outcome.connection)
  if (isFailure(outcome, connections))
    return html`<div class="notice bad" role="alert">
      <h2>That did not work</h2>
      <p>
        <strong><bdi>${connection?.label ?? providerName}</bdi></strong
        >: ${outcome.message ?? connection?.message}
      </p>
      ${problems(outcome, provider)}${quotation(outcome, providerName)}${outcome.hint === undefined ? undefined : html`<p>${outcome.hint}</p>`}
    </div>`
  const name = html`<strong><bdi>${connection?.label ?? providerName}</bdi></strong>`
  return html`<div class="notice" role="status"><p>${said(outcome.status, name)}</p></div>`
}

function said(status: ConnectOutcome['status'], name: Html): Html {
  if (status === 'connected') return html`${name} is connected.`
  if (status === 'reconnected') return html`${name} is connected again.`
  if (status === 'renamed') return html`The connection is called ${name} now.`
  if (status === 'tested') return html`${name} works.`
  if (status === 'disconnected') return html`${name} is disconnected.`
  return html`The connection to ${name} was removed.`
}

/** A test may have found that the connection is at its end. */
function isFailure({ status, connection }: ConnectOutcome, connections: readonly ConnectionView[]): boolean {
  if (status !== 'tested') return status === 'failed'
  return connections.some((one) => one.id === connection && one.status !== 'active')
}

/** Each leads to its field. */
function problems({ provider, fields = {} }: ConnectOutcome, offered: OfferedProvider | undefined): Html {
  const entries = Object.entries(fields).map(([name, problem]) =>
    offered?.fields.some((field) => field.name === name)
      ? html`<li><a href="#${fieldId(provider, name)}">${problem}</a></li>`
      : html`<li>${problem}</li>`,
  )
  return entries.length > 0
    ? html`<ul>
        ${entries}
      </ul>`
    : html``
}

/** The provider's own words, as such. */
function quotation(outcome: ConnectOutcome, name: string): Html {
  const { provider_error: code, provider_error_description: words } = outcome
  if (code === undefined) return html``
  return html`<p><bdi>${name}</bdi> said:</p>
    <blockquote>
      ${words === undefined ? undefined : html`<p><bdi>${words}</bdi></p>`}
      <p>
        <code><bdi>${code}</bdi></code>
      </p>
    </blockquote>`
}

function details(connection: ConnectionView, offered: OfferedProvider | undefined): readonly Html[] {
  const { account_id: account, scope, connected_at: connected, checked_at: checked, fields } = connection
  const ofFields = Object.entries(fields).map(([name, value]) => {
    const field = offered?.fields.find((one) => one.name === name)
    const choice = field?.choices?.find((one) => one.value === value)
    return detail(field?.label ?? name, html`<bdi>${choice?.label ?? value}</bdi>`)
  })
  return [
    detail('Account', html`<bdi>${account}</bdi>`),
    ...ofFields,
    detail('Connected', time(connected)),
    detail('Last checked', time(checked)),
    ...(scope === '' ? [] : [detail('Access', html`<bdi>${scope}</bdi>`)]),
  ]
}

function detail(name: string, value: Html): Html {
  return html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`
}

/** Without a script nobody knows where the user is, so it is said what the clock goes by. */
const times = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' })

function time(seconds: number): Html {
  const date = new Date(seconds * 1000)
  return html`<time datetime="${date.toISOString()}">${times.format(date)} UTC</time>`
}

function renameFields(label: string, index: number): Html {
  const id = `label-${index}`
  return html`<div class="field">
      <label for="${id}">Name</label>
      <p class="help" id="${id}-help">Leave it empty for the name that the account has itself.</p>
      <input
        id="${id}"
        name="label"
        value="${label}"
        maxlength="100"
        autocomplete="off"
        dir="auto"
        aria-describedby="${id}-help"
      />
    </div>
    <button>Save</button>`
}

function input(id: string, field: AskedField, problem: string | undefined): Html {
  const { name, label, required, choices, help, default: byDefault = '' } = field
  const about = [help !== undefined && `${id}-help`, problem !== undefined && `${id}-error`].filter(Boolean)
  const attributes = html`id="${id}"
  name="${name}"${required ? html` required` : undefined}${about.length > 0 ? html` aria-describedby="${about.join(' ')}"` : undefined}${problem === undefined ? undefined : html` aria-invalid="true"`}`
  return html`<div class="field">
    <label for="${id}">${label}${required ? undefined : html` <span class="soft">(optional)</span>`}</label
    >${help === undefined ? undefined : html`<p class="help" id="${id}-help">${help}</p>`}${problem === undefined ? undefined : html`<p class="error" id="${id}-error">${problem}</p>`}${
      choices
        ? html`<select ${attributes}>
            ${byDefault === '' ? html`<option value="">${required ? 'Choose…' : '–'}</option>` : undefined}${choices.map(
              (choice) =>
                html`<option
                  value="${choice.value}"
                  ${choice.value === byDefault ? html` selected` : undefined}
                >
                  ${choice.label}
                </option>`,
            )}
          </select>`
        : html`<input ${attributes} value="${byDefault}" maxlength="200" autocomplete="off" dir="auto" />`
    }
  </div>`
}
