/** What went wrong, in words for the person in front of the page. */

import type { OutgoingHttpHeaders } from 'node:http'
import { isOAuthError } from 'express-oauth-kit'
import { ApiError } from './api-client.js'

export interface Problem {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  readonly title: string
  readonly text: string
  /** For the developer. A real app would keep it to its log. */
  readonly detail?: string
}

export function explain(error: unknown): Problem {
  const headers = {}
  if (error instanceof ApiError) {
    const text = 'The service behind this page is in trouble. Please try again in a moment.'
    return { status: 502, headers, title: 'This did not work', text, detail: error.message }
  }
  if (!isOAuthError(error)) {
    const text = 'Something went wrong on our side. Please try again in a moment.'
    return { status: 500, headers, title: 'This did not work', text }
  }
  const [title, text] = words[`${error.code} ${error.reason}`] ??
    words[error.code] ?? ['This did not work', error.publicMessage]
  return {
    status: error.status,
    headers: error.headers,
    title,
    text,
    detail: `${error.code}: ${error.hint ?? error.message}`,
  }
}

const words: Record<string, readonly [title: string, text: string]> = {
  insufficient_scope: ['You cannot go in here', 'Your account does not have the rights for this page.'],
  insufficient_user_authentication: [
    'You need to sign in again',
    'This page needs a sign-in that is more recent than yours, and the sign-in server did not ask you for one.',
  ],
  access_denied: ['You did not allow it', 'Nothing was shared and nothing has changed. You can try again.'],
  missing_credentials: ['Please sign in', 'Your sign-in is over. Sign in again to go on.'],
  login_required: ['Please sign in', 'Your sign-in is over. Sign in again to go on.'],
  connection_not_found: ['There is no such connection', 'It was removed, or it is somebody else’s.'],
  'other_user signed_out': [
    'Nothing was connected',
    'Your sign-in here ended on the way. Sign in, and connect it again.',
  ],
  'other_user other_session': [
    'Nothing was connected',
    'You signed in once more on the way. Please connect it again.',
  ],
  other_user: [
    'Nothing was connected',
    'Somebody else has signed in here on the way. Whoever wanted this has to sign in, and connect it again.',
  ],
  invalid_callback: ['This is over', 'It was finished already, or did not begin here. Please start again.'],
  unknown_state: ['This is over', 'It was finished already, or took too long. Please start again.'],
  csrf_rejected: [
    'This came from elsewhere',
    'The form was not sent by a page of this app, so nothing was done.',
  ],
  server_unavailable: [
    'Signing in is not possible now',
    'The sign-in server does not answer. Please try again in a moment.',
  ],
  store_unavailable: [
    'One moment, please',
    'The app cannot look up who is signed in just now. Nobody was signed out. Please try again in a moment.',
  ],
}
