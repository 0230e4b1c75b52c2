/** Where people of a provider choose their account and agree, and where their answers go. */

import express, { type Request, type Response, type Router } from 'express'
import type Provider from 'oidc-provider'
import type { Html } from '../html.js'
import { pageHeaders } from '../page.js'
import { choicePage, consentPage } from './pages.js'
import type { Service } from './service.js'

export function interactions(provider: Provider, service: Service): Router {
  const router = express.Router()
  const form = express.urlencoded({ extended: false, limit: '4kb' })
  const accountOf = (id: unknown) => service.accounts.find((account) => account.id === id)

  router.get('/interaction/:uid', async (req, res) => {
    const { prompt, params, session } = await provider.interactionDetails(req, res)
    const client = await provider.Client.find(text(params['client_id']))
    const request = {
      action: `/interaction/${text(req.params['uid'])}`,
      clientName: client?.clientName ?? text(params['client_id']),
    }
    const account = prompt.name === 'consent' ? accountOf(session?.accountId) : undefined
    const scopes = text(params['scope']).split(' ')
    const page = account ? consentPage(service, request, account, scopes) : choicePage(service, request)
    send(res, page, params['redirect_uri'])
  })

  router.post('/interaction/:uid/login', form, async (req, res) => {
    const { account }: Record<string, unknown> = req.body ?? {}
    const accountId = accountOf(account)?.id
    if (accountId === undefined) res.redirect(303, `/interaction/${text(req.params['uid'])}`)
    else await provider.interactionFinished(req, res, { login: { accountId } })
  })

  // Forgets who it is, and starts anew with the same request.
  router.post('/interaction/:uid/another', async (req, res) => {
    const { params, session } = await provider.interactionDetails(req, res)
    const known = session?.uid === undefined ? undefined : await provider.Session.findByUid(session.uid)
    await known?.destroy()
    const again = Object.entries(params).filter((entry): entry is [string, string] => text(entry[1]) !== '')
    res.redirect(303, `/auth?${new URLSearchParams(again).toString()}`)
  })

  router.post('/interaction/:uid/consent', async (req, res) => {
    await provider.interactionFinished(req, res, { consent: { grantId: await grant(req, res) } })
  })

  router.post('/interaction/:uid/deny', async (req, res) => {
    await provider.interactionFinished(
      req,
      res,
      { error: 'access_denied', error_description: 'the user pressed Deny' },
      { mergeWithLastSubmission: false },
    )
  })

  return router

  async function grant(req: Request, res: Response): Promise<string> {
    const { params, session, grantId } = await provider.interactionDetails(req, res)
    const accountId = session?.accountId
    if (accountId === undefined) throw new Error('consent without a signed-in user')
    const known = grantId === undefined ? undefined : await provider.Grant.find(grantId)
    const all = known ?? new provider.Grant({ accountId, clientId: text(params['client_id']) })
    all.addOIDCScope(text(params['scope']))
    return all.save()
  }
}

function send(res: Response, page: Html, redirectUri: unknown): void {
  res.set(pageHeaders([redirectUri])).send(page.markup)
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
