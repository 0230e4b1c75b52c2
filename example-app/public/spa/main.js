/** The page: who is signed in decides what it shows. Begin reading here. */

import { signIn } from '../api.js'
import { offerTrouble } from './break-it.js'
import { find } from './element.js'
import { follow } from './live.js'
import { addProject, forgetDraft, forgetProjects, restoreDraft, showProjects } from './projects.js'
import { watchSession } from './session.js'
import { toast } from './toast.js'

offerTrouble()
let subject
let live

await watchSession((who) => {
  document.body.dataset.view = who ? 'inside' : 'welcome'
  if (who?.claims.sub === subject && who) return
  live?.abort()
  subject = who?.claims.sub
  if (!who) return forgetProjects()
  find('#name').textContent = who.claims.name ?? subject
  if (restoreDraft()) toast('What you typed is still here.')
  live = new AbortController()
  void showProjects()
  void follow('/bff/projects/events', live.signal, addProject)
})

for (const button of document.querySelectorAll('[data-sign-in]'))
  button.addEventListener('click', () => signIn())

// The next person at this browser must not find what this one typed.
find('#sign-out').addEventListener('submit', forgetDraft)
