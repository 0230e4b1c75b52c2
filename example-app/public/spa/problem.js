/** What went wrong, in words for the person in front of the page, and what can be done about it. */

/** An answer that is no success, as an error that says why. */
export class Refused extends Error {
  constructor(status, { error, error_description: description, scope } = {}) {
    super(description ?? error ?? `answered ${status}`)
    this.name = 'Refused'
    this.status = status
    this.code = error
    this.scope = scope
  }
}

/** The JSON of a good answer; throws {@link Refused} for any other. */
export async function content(answer) {
  const body = await answer.json().catch(() => ({}))
  if (answer.ok) return body
  const challenge = answer.headers.get('www-authenticate') ?? ''
  const scope = /scope="([^"]+)"/.exec(challenge)?.[1]
  throw new Refused(answer.status, { ...(scope && { scope }), ...body })
}

/** `again`: whether the same request may well work later. */
export function explain(error) {
  const { status, code, signIn } = error
  if (signIn) {
    return {
      title: 'Your session is over',
      text: 'Sign in again to go on. What you typed stays where it is.',
      again: true,
    }
  }
  if (status === undefined) {
    return {
      title: navigator.onLine ? 'The app does not answer' : 'You are offline',
      text: 'Nothing is lost. Try again when the connection is back.',
      again: true,
    }
  }
  if (status === 502 || status === 504) {
    return {
      title: status === 502 ? 'The projects cannot be reached' : 'The projects take too long',
      text: 'The service behind this page is in trouble. You are signed in still, and nothing is lost.',
      again: true,
    }
  }
  if (status === 503) {
    return {
      title: 'One moment, please',
      text: 'The app cannot look up who is signed in just now. Nobody was signed out. Try again in a moment.',
      again: true,
    }
  }
  if (status === 403 && code !== 'csrf_rejected') {
    return {
      title: 'You cannot go in here yet',
      text: 'This page is not allowed to do that in your name.',
      again: false,
    }
  }
  return {
    title: 'This did not work',
    text: 'Something went wrong on our side. Try again in a moment.',
    again: true,
  }
}
