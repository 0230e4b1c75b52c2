/** Calls of this site's own API by a page. A session that has ended is renewed in a hidden frame, where that can be. */
const landing = '/api.js' // where that frame ends: any small file of this site, which pages of this site may frame
let [renewal, subject] = []
const withQuery = (url, query) => `${url}${url.includes('?') ? '&' : '?'}${new URLSearchParams(query)}`
const send = (path, init) =>
  fetch(path, { ...init, headers: [...new Headers(init?.headers), ['x-csrf', '1']], mode: 'same-origin' })

/** `fetch` for this site. Throws an error with a method `signIn` where the user has to sign in again. */
export async function api(path, init, isSecond = false) {
  const answer = await send(path, init)
  const refusal = answer.status === 401 && answer.clone().json()
  const login = (await Promise.resolve(refusal).catch(() => null))?.login_url
  if (!/^\/[^/\\]/.test(login)) return answer
  const isRepeatable = !isSecond && !(init?.body instanceof ReadableStream)
  if (isRepeatable && (await silentLogin(login))) return api(path, init, true)
  throw Object.assign(new Error('You need to sign in again.'), { signIn: () => signIn(login) })
}

/** Who is signed in, or null; with `renew` after a silent login, if need be. Later ones are for the same user only. */
export async function user({ renew = false } = {}) {
  const answer = await send('/user')
  if (!answer.ok && answer.status !== 401) throw new Error(`the user endpoint answered ${answer.status}`)
  const found = answer.ok ? await answer.json() : null
  if (!found && renew && (await silentLogin('/login'))) return user()
  subject = found?.claims?.sub ?? subject
  return found
}

/** Leaves for the login, and comes back here. */
export function signIn(login = '/login') {
  location.assign(withQuery(login, { returnTo: location.href.slice(location.origin.length) }))
}

/** One for all calls that wait. One that failed is not tried again for a minute. */
function silentLogin(login) {
  const query = { prompt: 'none', returnTo: landing, ...(subject && { subject }) }
  return (renewal ??= inFrame(withQuery(login, query)))
}

async function inFrame(src) {
  const frame = Object.assign(document.createElement('iframe'), { hidden: true, src })
  const isSignedIn = await new Promise((resolve) => {
    // Without a document it is a page of the authorization server, which may yet move on.
    frame.onload = () => frame.contentDocument && resolve(frame.contentDocument.URL.endsWith(landing))
    setTimeout(resolve, 5_000, false)
    document.body.append(frame)
  })
  frame.remove()
  setTimeout(() => (renewal = undefined), isSignedIn ? 1_000 : 60_000)
  return isSignedIn
}
