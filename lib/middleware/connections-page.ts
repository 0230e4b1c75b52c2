/** A page on which users see their connections, and connect, test, rename and end them: without a script. */

import type { ServerResponse } from 'node:http'
import type { ConnectionView } from '../connections/connection.js'
import type { AskedField } from '../connections/connection-fields.js'
import type { OptionChecks } from '../options.js'
import type { ConnectOutcome } from './connect-outcome.js'
import { connectionsPageStyle } from './connections-page-style.js'
import { markup, type Html } from './html.js'
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
  const given = page === true ? {} : page
  const within = check.within('page', given, { title: true })
  const { title = 'Connections' } = given
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
  return (res, content) => {
    const { connections, providers, outcome, csrfToken } = content
    const hidden = markup`<input type="hidden" name="csrf_token" value="${csrfToken}"><input type="hidden" name="return_to" value="${path}">`
    const form: Form = (target, inputs) =>
      markup`<form method="post" action="${path}/${target}">${hidden}${inputs}</form>`
    const hasAny = connections.length > 0
    sendPage(
      res,
      200,
      outcome && isFailure(outcome, connections) ? `That did not work – ${title}` : title,
      markup`<h1>${title}</h1>
<p class="soft">Your accounts elsewhere that you let this site use. <a href="${home}">Back to the site</a></p>
${outcome && notice(outcome, content)}
<section aria-labelledby="yours"><h2 id="yours">Your connections</h2>
${hasAny ? list(connections.map((one, index) => card(one, `connection-${index}`, providers, form))) : nothing}
</section>
<section aria-labelledby="more"><h2 id="more">${hasAny ? 'Connect another account' : 'Connect an account'}</h2>
${list(providers.map((provider) => offer(provider, outcome, form)))}
</section>`,
    )
  }
}

/** A form that is sent to a path below the page's. */
type Form = (target: string, inputs: Html) => Html

const nothing = markup`<p class="card empty soft">Nothing is connected yet.</p>`

function list(items: readonly Html[]): Html {
  // Where lists have no dots, some screen readers forget that they are lists.
  return markup`<ul role="list">${items.map((item) => markup`<li class="card">${item}</li>`)}</ul>`
}

function card(
  connection: ConnectionView,
  key: string,
  providers: readonly OfferedProvider[],
  form: Form,
): Html {
  const { label, status, message, provider_name: providerName } = connection
  const offered = providers.find((provider) => provider.key === connection.provider)
  const badge = badges[status]
  const why = status === 'needs_reconnect' ? markup`<p class="why">${message}</p>` : undefined
  return markup`<article aria-labelledby="${key}">
<div class="top"><div><h3 id="${key}"><bdi>${label}</bdi></h3><p class="soft"><bdi>${providerName}</bdi></p></div>
<p class="badge ${badge.kind}"><span class="hidden">Status: </span>${badge.text}</p></div>
${why}<dl>${details(connection, offered)}</dl>
<div class="actions">${actions(connection, key, offered, form)}</div>
</article>`
}

/** Each button says what it is about, to those who do not see where it stands. */
function actions(
  { id, label, status }: ConnectionView,
  key: string,
  offered: OfferedProvider | undefined,
  form: Form,
): readonly Html[] {
  const of = (verb: string) => markup`${verb} <span class="hidden"><bdi>${label}</bdi></span>`
  const opened = (verb: string, content: Html) =>
    markup`<details><summary>${of(verb)}</summary><div class="panel">${content}</div></details>`
  const confirmed = (action: string, verb: string, question: string) =>
    opened(
      verb,
      markup`<p>${question}</p>${form(`${id}/${action}`, markup`<button class="danger">${of(`Yes, ${action}`)}</button>`)}`,
    )
  const kind = status === 'needs_reconnect' ? 'main' : ''
  const reconnect = form(`${id}/reconnect`, markup`<button class="${kind}">${of('Connect again')}</button>`)
  const test = form(`${id}/test`, markup`<button>${of('Test')}</button>`)
  const isOver = status === 'disconnected'
  return [
    ...(offered && status !== 'active' ? [reconnect] : []),
    ...(offered && !isOver ? [test] : []),
    opened('Rename', form(`${id}/rename`, renameFields(label, `${key}-label`))),
    isOver
      ? confirmed('remove', 'Remove', 'It will be gone from this list.')
      : confirmed(
          'disconnect',
          'Disconnect',
          'This site will not be able to use the account until you connect it again.',
        ),
  ]
}

function offer(
  { key, name, fields }: OfferedProvider,
  outcome: ConnectOutcome | undefined,
  form: Form,
): Html {
  const last = outcome?.provider === key ? outcome : undefined
  const inputs = fields.map((field) =>
    input(fieldId(key, field.name), field, own(last?.fields, field.name), own(last?.values, field.name)),
  )
  const heading = fields.length > 0 ? markup`<h3><bdi>${name}</bdi></h3>` : undefined
  const button = markup`<button class="main">Connect <bdi>${name}</bdi></button>`
  return markup`${heading}${form(`${key}/connect`, markup`${inputs}${button}`)}`
}

/** A field may have a name that every object has, such as `toString`. */
function own(texts: Readonly<Record<string, string>> | undefined, name: string): string | undefined {
  return texts && Object.hasOwn(texts, name) ? texts[name] : undefined
}

const badges = {
  active: { kind: 'good', text: 'Connected' },
  needs_reconnect: { kind: 'warn', text: 'Not working' },
  disconnected: { kind: '', text: 'Disconnected' },
} as const

function fieldId(provider: string, name: string): string {
  return `field-${provider}-${name}`
}

/** What happened, and whether it is good news. */
function notice(outcome: ConnectOutcome, { connections, providers }: ConnectionsPageContent): Html {
  const connection = connections.find(({ id }) => id === outcome.connection)
  const provider = providers.find(({ key }) => key === outcome.provider)
  const providerName = provider?.name ?? outcome.provider
  const name = markup`<strong><bdi>${connection?.label ?? providerName}</bdi></strong>`
  if (!isFailure(outcome, connections))
    return markup`<div class="notice" role="status"><p>${said(outcome.status, name)}</p></div>`
  return markup`<div class="notice bad" role="alert"><h2>That did not work</h2><p>${name}: ${outcome.message ?? connection?.message}</p>
${problems(outcome, provider)}${quotation(outcome, providerName)}${advice(outcome)}</div>`
}

function said(status: ConnectOutcome['status'], name: Html): Html {
  if (status === 'connected') return markup`${name} is connected.`
  if (status === 'reconnected') return markup`${name} is connected again.`
  if (status === 'renamed') return markup`The connection is called ${name} now.`
  if (status === 'tested') return markup`${name} works.`
  if (status === 'disconnected') return markup`${name} is disconnected.`
  return markup`The connection to ${name} was removed.`
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
      ? markup`<li><a href="#${fieldId(provider, name)}">${problem}</a></li>`
      : markup`<li>${problem}</li>`,
  )
  return entries.length > 0 ? markup`<ul>${entries}</ul>` : markup``
}

function advice({ hint }: ConnectOutcome): Html {
  if (hint === undefined) return markup``
  return markup`<details><summary>For those who run this site</summary><p>${hint}</p></details>`
}

/** The provider's own words, as such. */
function quotation(outcome: ConnectOutcome, name: string): Html {
  const { provider_error: code, provider_error_description: words } = outcome
  if (code === undefined) return markup``
  const quoted = words === undefined ? undefined : markup`<p><bdi>${words}</bdi></p>`
  return markup`<p><bdi>${name}</bdi> said:</p><blockquote>${quoted}<p><code><bdi>${code}</bdi></code></p></blockquote>`
}

function details(connection: ConnectionView, offered: OfferedProvider | undefined): readonly Html[] {
  const { account_id: account, scope, connected_at: connected, checked_at: checked, fields } = connection
  const ofFields = Object.entries(fields).map(([name, value]) => {
    const field = offered?.fields.find((one) => one.name === name)
    const choice = field?.choices?.find((one) => one.value === value)
    return detail(field?.label ?? name, markup`<bdi>${choice?.label ?? value}</bdi>`)
  })
  return [
    detail('Account', markup`<bdi>${account}</bdi>`),
    ...ofFields,
    detail('Connected', time(connected)),
    detail('Last checked', time(checked)),
    ...(scope === '' ? [] : [detail('Access', markup`<bdi>${scope}</bdi>`)]),
  ]
}

function detail(name: string, value: Html): Html {
  return markup`<div><dt>${name}</dt><dd>${value}</dd></div>`
}

/** Without a script nobody knows where the user is, so it is said what the clock goes by. */
const times = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' })

function time(seconds: number): Html {
  const date = new Date(seconds * 1000)
  return markup`<time datetime="${date.toISOString()}">${times.format(date)} UTC</time>`
}

function renameFields(label: string, id: string): Html {
  return markup`<div class="field"><label for="${id}">Name</label><p class="help" id="${id}-help">Leave it empty for a name that follows the account.</p>
<input id="${id}" name="label" value="${label}" maxlength="100" autocomplete="off" dir="auto" aria-describedby="${id}-help"></div><button>Save</button>`
}

function input(id: string, field: AskedField, problem: string | undefined, filledIn?: string): Html {
  const { name, label, required, choices, help } = field
  const value = filledIn ?? field.default ?? ''
  const about = [help !== undefined && `${id}-help`, problem !== undefined && `${id}-error`].filter(Boolean)
  const attributes = markup`id="${id}" name="${name}"${[
    ...(required ? [markup` required`] : []),
    ...(about.length > 0 ? [markup` aria-describedby="${about.join(' ')}"`] : []),
    ...(problem === undefined ? [] : [markup` aria-invalid="true"`]),
  ]}`
  const optional = required ? undefined : markup` <span class="soft">(optional)</span>`
  const control = choices
    ? markup`<select ${attributes}>${options(field, value)}</select>`
    : markup`<input ${attributes} value="${value}" maxlength="200" autocomplete="off" dir="auto">`
  return markup`<div class="field"><label for="${id}">${label}${optional}</label>
${help === undefined ? undefined : markup`<p class="help" id="${id}-help">${help}</p>`}
${problem === undefined ? undefined : markup`<p class="error" id="${id}-error">${problem}</p>`}
${control}</div>`
}

function options(
  { choices = [], required, default: byDefault }: AskedField,
  chosen: string,
): readonly Html[] {
  const none = markup`<option value="">${required ? 'Choose…' : '–'}</option>`
  const all = choices.map(({ value, label }) =>
    value === chosen
      ? markup`<option value="${value}" selected>${label}</option>`
      : markup`<option value="${value}">${label}</option>`,
  )
  return byDefault === undefined ? [none, ...all] : all
}
