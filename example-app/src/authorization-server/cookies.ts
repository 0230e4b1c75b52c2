/** The names of the authorization server's cookies. Ports of one host share theirs: these must not meet those of the app. */

export const cookieNames = {
  session: 'example_id',
  interaction: 'example_id_interaction',
  resume: 'example_id_resume',
} as const

/** What a browser keeps of a sign-in at the server: the cookie and its signature. */
export const sessionCookieNames = [cookieNames.session, `${cookieNames.session}.sig`] as const
