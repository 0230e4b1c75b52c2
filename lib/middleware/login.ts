/** The beginning of a login: the browser is sent to the authorization server. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { OAuthError } from '../errors.js'
import type { AuthenticationDemand } from '../oauth/authentication.js'
import {
  authorizationRequest,
  reservedParameters,
  type AuthorizationParameters,
  type ResponseMode,
} from '../oauth/authorization-request.js'
import type { Client } from '../oauth/client.js'
import { isSubject } from '../oauth/id-token.js'
import { parseScope } from '../oauth/scope.js'
import { requireEndpoint } from '../oauth/server-metadata.js'
import type { Seal } from '../seal.js'
import type { Sessions } from '../session/session.js'
import type { Transaction, Transactions } from '../session/transaction.js'
import { formParameters, navigation, queryParameters, redirect, singleParameter } from './request.js'
import { pathOn } from './return-to.js'
import { isSilent, withError } from './silent-login.js'

/** What one login asks for beyond the options of `oauthLogin`. */
export interface StartLoginOptions {
  /** Scopes to ask for beyond those of the options and those granted already, with one space between. */
  scope?: string
  /** Where the user goes afterwards: a path of this site. Anything else is replaced by the default. */
  returnTo?: string
  /**
   * Parameters of the authorization request, such as `{ prompt: 'login', max_age: 0 }`. With `prompt: 'none'` the login is
   * silent: where the server would have to show a page, the user goes back with `error` in the query.
   */
  parameters?: AuthorizationParameters
}

export interface LoginOptions {
  client: Client
  /** The `iss` that a login may be asked for by others; nothing when the server has no name. */
  issuer: string | undefined
  origin: string
  sessions: Sessions
  transactions: Transactions<Transaction>
  scope: readonly string[]
  resource: string | undefined
  parameters: AuthorizationParameters
  /** Parameters that the query may set. */
  allowedInQuery: readonly string[]
  responseMode: ResponseMode
  wantsUserinfo: boolean
  /** Seals what a guard of this app demands, so that nobody else can have a login ask for something weaker. */
  demandSeal: Seal<AuthenticationDemand>
  /** The path to return to, made safe. */
  safeReturnTo: (value: unknown) => string
}

export interface Login {
  /** Answers the login path. Throws `login_required` for a request that no page will come of. */
  fromRequest(req: IncomingMessage, res: ServerResponse): Promise<void>
  /** Sends the browser on its way. Throws `server_unavailable` and the like, and then nothing was sent. */
  start(
    req: IncomingMessage,
    res: ServerResponse,
    options?: StartLoginOptions & {
      restarted?: boolean
      demand?: AuthenticationDemand
      /** The user that a silent login is for. Default: the one of the session. */
      subject?: string
    },
  ): Promise<void>
  /** The query by which {@link fromRequest} starts a login that demands this of the sign-in. */
  stepUpQuery(demand: AuthenticationDemand): Record<string, string>
}

export function createLogin(settings: LoginOptions): Login {
  const { client, sessions, transactions, scope, resource, responseMode, allowedInQuery } = settings
  const { demandSeal, safeReturnTo } = settings

  const start: Login['start'] = async (req, res, options = {}) => {
    sessions.ready(req)
    refuseReserved(options.parameters)
    // Now, rather than when the user has come back and the code is spent.
    if (settings.wantsUserinfo) requireEndpoint(await client.metadata(), 'userinfo_endpoint')
    const silent = isSilent(options.parameters) ? await silentLogin(req, res, options.subject) : undefined
    const parameters = withMaxAge({ ...settings.parameters, ...silent?.parameters, ...options.parameters })
    const { url, transaction } = await authorizationRequest(client, {
      scope: union(scope, additionalScopes(options.scope)),
      parameters: withDemand(parameters, options.demand),
      // In a frame, what the server posts may set no `Lax` cookie, and ours are.
      responseMode: silent ? 'query' : responseMode,
      ...(resource !== undefined && { resource }),
      ...(options.restarted !== undefined && { restarted: options.restarted }),
    })
    const returnTo = safeReturnTo(options.returnTo)
    transactions.begin(req, res, {
      ...transaction,
      returnTo: silent ? withError(returnTo) : returnTo,
      ...silent?.transaction,
    })
    redirect(res, url, req.method === 'POST' ? 303 : 302)
  }

  return {
    start,
    stepUpQuery: (demand) => ({ step_up: demandSeal.seal(demand) }),
    async fromRequest(req, res) {
      const asked = await askedFor(req)
      // A script would be sent to another origin and fail there; a prefetch would leave a login nobody asked for.
      if (navigation(req) === 'no') {
        throw new OAuthError('login_required', {
          hint: 'Open the login path as a page: location.assign("/login").',
        })
      }
      const chosen = allowedInQuery.flatMap((name) => {
        const value = singleParameter(asked, name)
        return value === undefined ? [] : [[name, value] as const]
      })
      // Whatever the options say: it can only do less than a login does.
      // Not one that somebody else asks for: whether it shows a page is not theirs to say.
      const silent = asked.getAll('prompt').join(' ') === 'none' && !asked.has('iss')
      const { scope: extraScope, ...others } = Object.fromEntries(chosen)
      const parameters = { ...others, ...(silent && { prompt: 'none' }) }
      const [returnTo] = asked.getAll('returnTo')
      const demand = demandIn(asked)
      // The new tokens take the place of the old, and nobody chose to have fewer scopes.
      const kept = demand || silent ? (sessions.read(req, res)?.scope ?? []) : []
      const subject = silent ? subjectIn(asked) : undefined
      await start(req, res, {
        parameters,
        scope: [...kept, extraScope ?? ''].join(' ').trim(),
        ...(demand && { demand }),
        ...(subject !== undefined && { subject }),
        ...(returnTo !== undefined && { returnTo }),
        ...(asked.has('iss') && thirdPartyLogin(asked, parameters)),
      })
    },
  }

  /** Whose a silent login is. The server is told by the ID token, which some want to see before they answer. */
  async function silentLogin(req: IncomingMessage, res: ServerResponse, asked?: string) {
    const session = sessions.read(req, res)
    const subject = asked ?? session?.subject
    const isTheirs = session !== undefined && session.subject === subject
    const idToken = isTheirs ? (await sessions.tokens(req, session))?.id_token : undefined
    const isShort = idToken !== undefined && idToken.length <= longestIdToken
    return {
      parameters: isShort ? { id_token_hint: idToken } : {},
      transaction: { silent: true, ...(subject !== undefined && { subject }) } as const,
    }
  }

  function demandIn(asked: URLSearchParams): AuthenticationDemand | undefined {
    const sealed = singleParameter(asked, 'step_up')
    if (sealed === undefined) return undefined
    const demand = demandSeal.open(sealed)
    if (demand) return demand
    throw new OAuthError('invalid_request', {
      reason: 'step_up',
      hint: 'Take "login_url" from the answer of a guard as it is; it opens as long as its secret is in "secrets".',
    })
  }

  /** The query, or the form by which somebody else asks for a login. Throws `method_not_allowed` for all other requests. */
  async function askedFor(req: IncomingMessage): Promise<URLSearchParams> {
    if (req.method === 'GET') return queryParameters(req)
    const form = req.method === 'POST' ? await formParameters(req) : new URLSearchParams()
    if (form.has('iss')) return form
    throw new OAuthError('method_not_allowed', { headers: { allow: 'GET' } })
  }

  /**
   * A login that somebody else asks for (OpenID Connect Core §4). It is one like any other: it may say who is probably
   * there, and which page of this site they want.
   */
  function thirdPartyLogin(asked: URLSearchParams, parameters: AuthorizationParameters): StartLoginOptions {
    if (singleParameter(asked, 'iss') !== settings.issuer) {
      throw new OAuthError('issuer_mismatch', {
        reason: 'iss_wrong',
        hint: 'The login was asked for with an "iss" that is not the option "issuer", to the letter.',
      })
    }
    const hint = singleParameter(asked, 'login_hint')
    const target = singleParameter(asked, 'target_link_uri')
    if (hint !== undefined && hint.length > longestHint)
      throw new OAuthError('invalid_request', { reason: 'login_hint' })
    return {
      parameters: { ...parameters, ...(hint !== undefined && hint !== '' && { login_hint: hint }) },
      ...(target !== undefined && { returnTo: pathOn(target, settings.origin) }),
    }
  }
}

/** Characters of a `login_hint`. */
const longestHint = 1_024
/** Characters of an ID token in an address: real servers refuse lines of more than 8 192. */
const longestIdToken = 4_096

/** The user that a page of this site wants back, where the session that it knew may be gone. */
function subjectIn(asked: URLSearchParams): string | undefined {
  const subject = singleParameter(asked, 'subject')
  if (subject === undefined || isSubject(subject)) return subject
  throw new OAuthError('invalid_request', { reason: 'subject' })
}

/** Whoever could set these could have the code sent elsewhere, or a check left out. */
function refuseReserved(parameters: AuthorizationParameters = {}): void {
  for (const name of Object.keys(parameters)) {
    if (!reservedParameters.includes(name)) continue
    throw new OAuthError('invalid_configuration', {
      message: `startLogin: the parameter "${name}" is not yours to set; "scope" is an option beside "parameters"`,
    })
  }
}

function additionalScopes(scope: string | undefined): readonly string[] {
  if (scope === undefined || scope === '') return []
  const scopes = parseScope(scope)
  if (scopes) return scopes
  throw new OAuthError('invalid_request', { reason: 'scope', hint: 'Separate scopes by one space each.' })
}

function union(first: readonly string[], second: readonly string[]): string[] {
  return [...new Set([...first, ...second])]
}

/** On top of what every login asks for: the shorter age counts. */
function withDemand(
  parameters: AuthorizationParameters,
  { acr, maxAge }: AuthenticationDemand = {},
): AuthorizationParameters {
  const shortest = Math.min(maxAge ?? Infinity, Number(parameters['max_age'] ?? Infinity))
  return {
    ...parameters,
    ...(acr && { acr_values: acr.join(' ') }),
    ...(maxAge !== undefined && { max_age: shortest }),
  }
}

/** Checked here because the answer is held to it later. */
function withMaxAge(parameters: AuthorizationParameters): AuthorizationParameters {
  const { max_age } = parameters
  if (max_age === undefined || /^\d{1,9}$/.test(String(max_age))) return parameters
  throw new OAuthError('invalid_request', {
    reason: 'max_age',
    hint: 'Give "max_age" as a whole number of seconds.',
  })
}
