/** Where oidc-provider sends people to sign in and to agree, and where their answers go. */

import express, { type Request, type Response, type Router } from 'express'
import type Provider from 'oidc-provider'
import type { Html } from '../html.js'
import { pageHeaders } from '../page.js'
import { findAccount, signIn } from './accounts.js'
import { consentPage, loginPage } from './pages.js'
import { meaning } from './scopes.js'

/** What the user has not been asked about yet, as oidc-provider's consent prompt tells it. */
interface Missing {
  missingOIDCScope?: string[]
  missingOIDCClaims?: string[]
  missingResourceScopes?: Record<string, string[]>
}

export function interactions(provider: Provider): Router {
  const router = express.Router()
  const form = express.urlencoded({ extended: false, limit: '4kb' })

  router.get('/interaction/:uid', async (req, res) => {
    const { prompt, params, session } = await provider.interactionDetails(req, res)
    const request = await requestOf(req, params['client_id'])
    const account = findAccount(session?.accountId)
    const page =
      prompt.name === 'consent' && account
        ? consentPage(request, account, text(params['scope']).split(' ').filter(meaning))
        : loginPage(request, text(params['login_hint']))
    send(res, page, params['redirect_uri'])
  })

  router.post('/interaction/:uid/login', form, async (req, res) => {
    const { params } = await provider.interactionDetails(req, res)
    const { username, password }: Record<string, unknown> = req.body ?? {}
    const account = signIn(username, password)
    if (account) return provider.interactionFinished(req, res, { login: { accountId: account.username } })
    const page = loginPage(await requestOf(req, params['client_id']), text(username), true)
    return send(res.status(401), page, params['redirect_uri'])
  })

  router.post('/interaction/:uid/consent', async (req, res) => {
    const grantId = await grant(req, res)
    await provider.interactionFinished(req, res, { consent: { grantId } })
  })

  router.post('/interaction/:uid/deny', async (req, res) => {
    await provider.interactionFinished(
      req,
      res,
      { error: 'access_denied', error_description: 'the user did not agree' },
      { mergeWithLastSubmission: false },
    )
  })

  return router

  async function requestOf(req: Request, clientId: unknown) {
    const client = await provider.Client.find(text(clientId))
    return {
      action: `/interaction/${text(req.params['uid'])}`,
      clientName: client?.clientName ?? text(clientId),
    }
  }

  /** Grants what was asked for, except scopes that the account does not have: those are on record as refused. */
  async function grant(req: Request, res: Response): Promise<string> {
    const { prompt, params, session, grantId } = await provider.interactionDetails(req, res)
    const account = findAccount(session?.accountId)
    if (!account) throw new Error('consent without a signed-in user')
    const known = grantId === undefined ? undefined : await provider.Grant.find(grantId)
    const all =
      known ?? new provider.Grant({ accountId: account.username, clientId: text(params['client_id']) })

    const missing = prompt.details as Missing
    for (const scope of missing.missingOIDCScope ?? []) {
      if (account.mayGrant(scope)) all.addOIDCScope(scope)
      else all.rejectOIDCScope(scope)
    }
    for (const [resource, scopes] of Object.entries(missing.missingResourceScopes ?? {})) {
      for (const scope of scopes) {
        if (account.mayGrant(scope)) all.addResourceScope(resource, scope)
        else all.rejectResourceScope(resource, scope)
      }
    }
    if (missing.missingOIDCClaims) all.addOIDCClaims(missing.missingOIDCClaims)
    return all.save()
  }
}

function send(res: Response, page: Html, redirectUri: unknown): void {
  res.set(pageHeaders([redirectUri])).send(page.markup)
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
