/** Who signed in of late, as this process has heard of it. A real app would keep it where it keeps its logs. */

import { subscribe } from 'node:diagnostics_channel'
import type { OAuthEvent } from 'express-oauth-kit'

export interface SignIn {
  readonly subject: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

const most = 20

/** The list, the newest first. It fills by itself. */
export function createSignInLog(): readonly SignIn[] {
  const list: SignIn[] = []
  subscribe('express-oauth-kit', (message) => {
    const event = message as OAuthEvent
    if (event.type !== 'login') return
    list.unshift({ subject: event.subject ?? 'unknown', at: Date.now() })
    list.length = Math.min(list.length, most)
  })
  return list
}
