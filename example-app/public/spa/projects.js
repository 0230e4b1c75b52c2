/** The list of projects, and the form for a new one. Both know the API's address at this site, and no token. */

import { element, find, icon } from './element.js'
import { content, explain } from './problem.js'
import { toast } from './toast.js'
import { api } from './wire.js'

const path = '/bff/projects'
const keptAs = 'projects.draft'

const list = find('#projects')
const count = find('#count')
const form = find('#new-project')
let known = []

/** Fetches the list and shows it, or why it cannot be shown. */
export async function showProjects() {
  list.setAttribute('aria-busy', 'true')
  if (known.length === 0) list.replaceChildren(...Array.from({ length: 3 }, skeleton))
  try {
    const { projects } = await content(await api(path))
    known = projects
    show()
  } catch (error) {
    count.textContent = ''
    list.replaceChildren(trouble(error))
  } finally {
    list.removeAttribute('aria-busy')
  }
}

/** Adds a project that somebody made, here or elsewhere. */
export function addProject(project) {
  if (known.some(({ id }) => id === project.id)) return
  known = [...known, project]
  show(project.id)
}

/** Forgets what only somebody who is signed in may see. */
export function forgetProjects() {
  known = []
  list.replaceChildren()
}

function show(fresh) {
  count.textContent = known.length === 0 ? '' : String(known.length)
  list.replaceChildren(...(known.length === 0 ? [empty()] : known.toReversed().map((one) => row(one, fresh))))
}

function row({ id, name, description, owner, createdAt }, fresh) {
  const date = new Date(createdAt).toLocaleDateString('en-GB', { dateStyle: 'medium' })
  return element(
    'li',
    { class: id === fresh ? 'project fresh' : 'project' },
    element('span', { class: `monogram tone-${id % 5}`, 'aria-hidden': 'true' }, initials(name)),
    element(
      'div',
      { class: 'what' },
      element('h3', {}, name),
      description !== '' && element('p', {}, description),
    ),
    element(
      'p',
      { class: 'meta' },
      element('span', { class: 'owner' }, owner),
      element('time', { datetime: createdAt }, date),
    ),
  )
}

function initials(name) {
  const [first = '?', second] = name.split(/\s+/).map((word) => [...word][0])
  return (first + (second ?? '')).toUpperCase()
}

function skeleton() {
  return element(
    'li',
    { class: 'project skeleton', 'aria-hidden': 'true' },
    element('span', { class: 'monogram' }),
    element(
      'div',
      { class: 'what' },
      element('span', { class: 'bar' }),
      element('span', { class: 'bar long' }),
    ),
  )
}

function empty() {
  return element(
    'li',
    { class: 'nothing' },
    icon('box'),
    element('h3', {}, 'No projects yet'),
    element('p', {}, 'Everything begins with a name.'),
    element(
      'button',
      { class: 'button primary', onclick: () => form.elements.name.focus() },
      'Start the first one',
    ),
  )
}

function trouble(error) {
  const { title, text, again } = explain(error)
  const [label, onclick] = error.signIn ? ['Sign in again', error.signIn] : ['Try again', showProjects]
  return element(
    'li',
    { class: 'nothing trouble', role: 'alert' },
    icon('cloud'),
    element('h3', {}, title),
    element('p', {}, text),
    again && element('button', { class: 'button', onclick }, label),
  )
}

/** What was typed outlives the way to the sign-in and back; it is the user's own words and nothing secret. */
export function restoreDraft() {
  const { name = '', description = '' } = JSON.parse(sessionStorage.getItem(keptAs) ?? '{}')
  form.elements.name.value = name
  form.elements.description.value = description
  return name !== '' || description !== ''
}

export function forgetDraft() {
  sessionStorage.removeItem(keptAs)
  form.reset()
}

form.addEventListener('input', () => {
  const { name, description } = form.elements
  sessionStorage.setItem(keptAs, JSON.stringify({ name: name.value, description: description.value }))
  say()
})

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const button = form.querySelector('[type=submit]')
  if (button.getAttribute('aria-disabled') === 'true') return
  // Not `disabled`: that would take the focus away from whoever uses a keyboard.
  button.setAttribute('aria-disabled', 'true')
  say()
  try {
    const { name, description } = form.elements
    const answer = await api(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ name: name.value, description: description.value }),
    })
    addProject(await content(answer))
    forgetDraft()
    toast('The project is there.')
  } catch (error) {
    refuse(error)
  } finally {
    button.removeAttribute('aria-disabled')
  }
})

function refuse(error) {
  if (error.code === 'invalid_project') {
    say(sentence(error.message))
    form.elements.name.setAttribute('aria-invalid', 'true')
    form.elements.name.focus()
  } else if (error.code === 'insufficient_scope') {
    say(
      'You have not allowed this app to create projects. What you typed stays.',
      element('a', { class: 'button small', href: '/spa/allow?scope=write:projects' }, 'Allow it'),
    )
  } else {
    const { title, text } = explain(error)
    say(`${title}. ${text}`)
  }
}

function say(...words) {
  form.elements.name.removeAttribute('aria-invalid')
  const problem = find('#problem')
  problem.replaceChildren(
    ...words.map((word) => (typeof word === 'string' ? element('span', {}, word) : word)),
  )
}

/** The API speaks of fields as programs do. */
function sentence(text) {
  const plain = text.replaceAll('"', '')
  return `${plain.charAt(0).toUpperCase()}${plain.slice(1)}.`
}
