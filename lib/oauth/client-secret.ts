/** The client secret, also while it is being replaced: which one is in use, and what is tried when it is refused (RFC 6749 §2.3.1). */

import { isOAuthError, OAuthError } from '../errors.js'

/**
 * A secret; or several, of which the server takes at least one; or a function that gives either, such as a look-up in a
 * secret manager. A function is asked when a secret is first needed, and again when the server refuses what it gave.
 */
export type ClientSecret =
  string | readonly string[] | (() => string | readonly string[] | Promise<string | readonly string[]>)

export interface ClientSecrets {
  /** Every secret so far, to be taken out of what servers say. */
  known(): readonly string[]
  /**
   * Runs a request with the secret in use. When it fails with `invalid_client`, each other secret is tried once, and the
   * one that works is in use from then on. When none is left, the last error stands.
   * Throws `temporarily_unavailable` when a function gives no secret.
   */
  authenticated<T>(run: Run<T>): Promise<T>
}

type Run<T> = (secret: string) => Promise<T>

export interface ClientSecretsOptions {
  /** Seconds that a function may take. */
  timeout: number
  /** Seconds since the epoch. */
  now: () => number
}

/** Seconds that a secret which has worked is used without a trial. */
const trustedFor = 10
/** Seconds that a request waits for the trial of another at most: a server that hangs must not delay all twice. */
const longestWait = 1
/** Secrets of a function that are remembered for messages. */
const mostKnown = 20

/** How a trial ended: with a secret that works, with none, or with an answer that says nothing about secrets. */
type Outcome = 'accepted' | 'open' | { readonly refusal: unknown }

/**
 * A secret that has not worked lately is tried by one request while the others wait: however many come at once when
 * the secret has changed, the server sees one wrong attempt and not one of each.
 */
export function clientSecrets(
  configured: ClientSecret,
  { timeout, now }: ClientSecretsOptions,
): ClientSecrets {
  const source = typeof configured === 'function' ? configured : undefined
  let offered: readonly string[] = typeof configured === 'function' ? [] : listed(configured)
  let asking: Promise<readonly string[]> | undefined
  let inUse: string | undefined
  let acceptedAt = Number.NEGATIVE_INFINITY
  let trial: Promise<Outcome> | undefined
  const known = new Set(offered)

  const isTrusted = () => inUse !== undefined && now() < acceptedAt + trustedFor

  async function authenticated<T>(run: Run<T>): Promise<T> {
    const [only] = offered
    if (!source && only !== undefined && offered.length === 1) return run(only)
    if (!trial && !isTrusted()) return lead(run)
    const outcome = trial && (await atMost(longestWait, trial))
    if (typeof outcome === 'object') throw outcome.refusal
    const [first = ''] = inUse === undefined ? await candidates() : [inUse]
    try {
      return await attempt(run, first)
    } catch (error) {
      if (!isRefusal(error)) throw error
      return another(run, first, error)
    }
  }

  async function attempt<T>(run: Run<T>, chosen: string): Promise<T> {
    const before = inUse
    // Unless another has proved good meanwhile: a slow answer to the old one must not bring it back.
    const accept = () => {
      if (inUse !== before && inUse !== chosen) return
      inUse = chosen
      acceptedAt = now()
    }
    try {
      const result = await run(chosen)
      accept()
      return result
    } catch (error) {
      // Whoever is told that a grant is not good has been let in.
      if (isOAuthError(error) && error.code === 'invalid_grant') accept()
      if (isRefusal(error) && inUse === chosen) acceptedAt = Number.NEGATIVE_INFINITY
      throw error
    }
  }

  /** The way on for a request that was under way when the secret changed. */
  async function another<T>(run: Run<T>, refused: string, refusal: unknown): Promise<T> {
    const isElsewhere = trial !== undefined
    if (trial) await trial
    if (inUse !== undefined && inUse !== refused && isTrusted()) return attempt(run, inUse)
    if (isElsewhere) throw refusal
    return lead(run, refused, refusal)
  }

  /** Tries the secrets one after the other, for itself and for all that wait. */
  function lead<T>(run: Run<T>, refused?: string, refusal?: unknown): Promise<T> {
    const attempts = tryEach(run, refused, refusal)
    const outcome = attempts.then(
      (): Outcome => 'accepted',
      (error: unknown): Outcome => (isRefusal(error) ? { refusal: error } : 'open'),
    )
    trial = outcome.then((how) => {
      trial = undefined
      return how
    })
    return attempts
  }

  async function tryEach<T>(run: Run<T>, refused: string | undefined, refusal: unknown): Promise<T> {
    const tried = refused === undefined ? [] : [refused]
    let last = refusal
    let mayAskAgain = source !== undefined
    for (let queue = await candidates(); ;) {
      const secret = queue.find((one) => !tried.includes(one))
      if (secret === undefined) {
        if (!mayAskAgain) throw last
        mayAskAgain = false
        queue = await ask()
        continue
      }
      tried.push(secret)
      try {
        return await attempt(run, secret)
      } catch (error) {
        if (!isRefusal(error)) throw error
        last = error
      }
    }
  }

  /** What can be tried, the one in use first. */
  async function candidates(): Promise<readonly string[]> {
    const all = offered.length === 0 ? await ask() : offered
    return inUse === undefined ? all : [inUse, ...all]
  }

  /** Asks the function, once however many want to know. */
  function ask(): Promise<readonly string[]> {
    if (!source) return Promise.resolve(offered)
    asking ??= given(source, timeout)
      .then((secrets) => {
        offered = secrets
        for (const secret of secrets) remember(secret)
        return secrets
      })
      .finally(() => {
        asking = undefined
      })
    return asking
  }

  function remember(secret: string): void {
    known.delete(secret)
    known.add(secret)
    const [oldest] = known
    if (known.size > mostKnown && oldest !== undefined) known.delete(oldest)
  }

  return { known: () => [...known], authenticated }
}

/** The secrets of a list, each once. */
function listed(secrets: string | readonly string[]): readonly string[] {
  return [...new Set([secrets].flat())]
}

/** What is wrong with a secret or a list of them, or nothing. */
export function clientSecretProblem(value: unknown): string | undefined {
  if (Array.isArray(value)) {
    if (value.length === 0) return 'is an empty list'
    return value.every(isText) ? undefined : 'has an entry that is not a string with content'
  }
  return isText(value) ? undefined : 'is not a string with content'
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

/** What a function gives, in time. Anything but a secret is a dependency that fails. */
async function given(
  source: Extract<ClientSecret, () => unknown>,
  timeout: number,
): Promise<readonly string[]> {
  let secrets: string | readonly string[] | undefined
  try {
    secrets = await atMost(timeout, Promise.resolve(source()))
  } catch (cause) {
    throw noSecret('threw an error', cause)
  }
  if (secrets === undefined) throw noSecret(`gave nothing within ${timeout} s`)
  const problem = clientSecretProblem(secrets)
  if (problem !== undefined) throw noSecret(`gave something that ${problem}`)
  return listed(secrets)
}

function noSecret(what: string, cause?: unknown): OAuthError {
  return new OAuthError('temporarily_unavailable', {
    message: `the function in the option "clientSecret" ${what}`,
    reason: 'client_secret',
    hint: 'It must give the secret as a string with content, or a list of such. Look at where it gets it from, such as the secret manager.',
    cause,
  })
}

/** The value, or nothing when it takes longer. */
async function atMost<T>(seconds: number, value: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const end = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), seconds * 1_000)
  })
  try {
    return await Promise.race([value, end])
  } finally {
    clearTimeout(timer)
  }
}

function isRefusal(error: unknown): boolean {
  return isOAuthError(error) && error.code === 'invalid_client'
}
