/** Every request of this page goes through here: it is listed, and may be told to meet trouble. */

import { api as send } from '../api.js'
import { element, find } from './element.js'
import { sessionOver } from './session.js'

const most = 7
let trouble = 'none'

/** What requests from now on meet. The demo's server and API read it; an app of yours has nothing of the kind. */
export function meet(kind) {
  trouble = kind
}

/** As `fetch`, for a path of this site: with the session, and with the header that proves where it comes from. */
export async function api(path, init = {}) {
  const headers = new Headers(init.headers)
  if (trouble !== 'none') headers.set('Demo-Trouble', trouble)
  const startedAt = performance.now()
  const method = init.method ?? 'GET'
  try {
    const answer = await send(path, { ...init, headers })
    list(method, path, answer.status, startedAt)
    return answer
  } catch (error) {
    list(method, path, error.signIn ? 401 : 'lost', startedAt)
    if (error.signIn) sessionOver()
    throw error
  }
}

function list(method, path, status, startedAt) {
  const kind = typeof status !== 'number' || status >= 500 ? 'bad' : status >= 400 ? 'odd' : 'good'
  add(
    element('code', {}, method),
    element('code', { class: 'path', title: path }, path),
    element('span', { class: `answer ${kind}` }, String(status)),
    element('span', { class: 'took' }, `${Math.round(performance.now() - startedAt)} ms`),
  )
}

/** Says between the requests what the server did. */
export function remark(...content) {
  add(element('span', { class: 'remark' }, ...content))
}

function add(...content) {
  const log = find('#wire')
  log.prepend(element('li', {}, ...content))
  while (log.children.length > most) log.lastChild.remove()
}
