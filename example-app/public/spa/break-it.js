/** The panel that breaks things, to show what the page does then. An app of yours needs none of this. */

import { element, find } from './element.js'
import { showProjects } from './projects.js'
import { content, explain } from './problem.js'
import { api, meet, remark } from './wire.js'

const panel = find('#break-it')

/** What the user was asked to allow just now, if it was that which brought them here. */
const asked = new URLSearchParams(location.search).get('asked')
history.replaceState(null, '', location.pathname)

const actions = {
  async expire() {
    const { accessToken: before } = await content(await api('/spa/expire', { method: 'POST' }))
    await showProjects()
    const { issue } = await content(await api('/session/token'))
    if (!issue) return
    remark(
      'The server refreshed the token: ',
      element('code', {}, before ?? 'unknown'),
      ' became ',
      element('code', {}, issue.accessToken),
    )
  },
  async end() {
    await content(await api('/spa/end', { method: 'POST' }))
    await showProjects()
    if (document.body.dataset.session !== 'over')
      remark('The session was over. The sign-in server knew you still, so another one began.')
  },
  async endEverywhere() {
    await content(await api('/spa/end?everywhere', { method: 'POST' }))
    await showProjects()
  },
  async report() {
    const { total, owners } = await content(await api('/bff/admin/report'))
    const each = owners.map(({ owner, projects }) => `${owner} ${projects}`).join(', ')
    say(element('span', {}, `${total} projects: ${each}.`))
  },
}

/** Puts the panel to work. */
export function offerTrouble() {
  panel.addEventListener('click', ({ target }) => {
    const button = target.closest('[data-action]')
    if (button && button.getAttribute('aria-disabled') !== 'true') void act(button)
  })
  panel.addEventListener('change', ({ target }) => {
    meet(target.value)
    void showProjects()
  })
}

async function act(button) {
  button.setAttribute('aria-disabled', 'true')
  say()
  try {
    await actions[button.dataset.action]()
  } catch (error) {
    refuse(error)
  } finally {
    button.removeAttribute('aria-disabled')
  }
}

function refuse(error) {
  if (error.code !== 'insufficient_scope') {
    const { title, text } = explain(error)
    return say(element('span', {}, `${title}. ${text}`))
  }
  return asked === 'admin:read'
    ? say(element('span', {}, 'Your account does not have this right. You stay signed in; all else works.'))
    : say(
        element('span', {}, 'The report needs a right that you have not given to this app.'),
        element('a', { class: 'button small', href: '/spa/allow?scope=admin:read' }, 'Allow it'),
      )
}

function say(...words) {
  find('#outcome').replaceChildren(...words)
}
