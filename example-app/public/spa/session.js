/** Who is signed in, and for how long still: asked for in a way that keeps no session alive. */

import { signIn, user } from '../api.js'
import { find } from './element.js'

/** Milliseconds. */
const between = 20_000

const clock = find('#clock')
const over = find('#over')
let endsAt
let whenChanged = () => {}

/** Asks now, from then on every twenty seconds, and whenever the page is looked at again. */
export async function watchSession(changed) {
  whenChanged = changed
  setInterval(tick, 1000)
  setInterval(look, between)
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') void look()
  })
  await look()
}

/** Asks who is signed in. Whoever cannot be asked has not been signed out. */
export async function look() {
  try {
    // Whoever was signed in is signed in again without a question, where the sign-in server still knows them.
    show(await user({ renew: endsAt !== undefined }))
  } catch {
    clock.dataset.state = 'unknown'
  }
}

function show(who) {
  const wasIn = endsAt !== undefined
  endsAt = who ? Date.now() + who.session_expires_in * 1000 : undefined
  tick()
  if (who) {
    over.close()
    delete document.body.dataset.session
    whenChanged(who)
  } else if (wasIn) sessionOver()
  else if (document.body.dataset.session !== 'over') whenChanged(undefined)
}

function tick() {
  clock.hidden = endsAt === undefined
  if (endsAt === undefined) return
  const left = Math.max(0, Math.round((endsAt - Date.now()) / 1000))
  const parts = [left / 3600, (left / 60) % 60, left % 60].map((part) => String(Math.floor(part)))
  clock.dataset.state = left < 60 ? 'short' : 'good'
  clock.lastElementChild.textContent = parts.map((part) => part.padStart(2, '0')).join(':')
  if (left === 0) void look()
}

/** The user is asked, and nothing that was typed is taken away. */
export function sessionOver() {
  endsAt = undefined
  tick()
  document.body.dataset.session = 'over'
  if (!over.open) over.showModal()
}

over.addEventListener('close', () => {
  if (over.returnValue === 'sign-in') signIn()
})
