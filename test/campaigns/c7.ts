/**
 * Rotations as the conformance modules have them: new keys between two logins that follow each other in a second, and just
 * before an ID token is signed; with a guarded API of the same issuer in use all the while.
 */
import { createServer } from 'node:http'
import express from 'express'
import { oauthLogin } from 'express-oauth-kit'
import { correctSteps } from '../support/faulty-server/steps.js'
import type { Provider } from '../support/faulty-server/provider.js'
import { newSigningKey } from '../support/faulty-server/signing-key.js'
import { listening, stopped } from '../support/listening.js'
import { bare } from '../support/requests.js'
import { atMost, exactly, noted, type Campaign } from './support/campaign.js'
import { leap, travelHome } from './support/clock.js'
import { startApi, startKeyServer } from './support/key-server.js'
import { addRoutes } from './support/routes.js'
import { startUserServer } from '../support/user-server.js'

/** Requests per second to the API. */
const rate = 200

export const campaign: Campaign = {
  title: 'new keys between two logins, and just before signing',
  within: { short: 60, long: 600 },
  async run({ long }) {
    const rotations = long ? 40 : 4
    const fetches = { login: 0, api: 0 }
    const failed: string[] = []
    const refused: string[] = []
    const greedy: string[] = []
    let logins = 0
    let requests = 0
    let isJustBefore = false

    const users = await startUserServer({ life: 3_600 })
    const { issuer, clientId, clientSecret } = users.server
    const app = createServer()
    const appUrl = await listening(app, 'localhost')
    users.server.register(`${appUrl}/callback`, `${appUrl}/`)
    const login = express().use(
      oauthLogin({
        issuer,
        clientId,
        clientSecret,
        baseUrl: appUrl,
        secrets: ['a secret of thirty-two bytes or more'],
        storage: 'cookie',
        onEvent: ({ type }) => void (type === 'jwks_fetched' && (fetches.login += 1)),
      }),
    )
    addRoutes(login)
    app.on('request', login)
    users.misbehave({
      async idToken(op, authorization) {
        if (isJustBefore) await rotate(op)
        isJustBefore = false
        return correctSteps.idToken(op, authorization)
      },
    })
    // Its keys are those of the login server, published under another address.
    const keyServer = await startKeyServer()
    const api = await startApi(keyServer, {
      onEvent: ({ type }) => void (type === 'jwks_fetched' && (fetches.api += 1)),
    })

    /** As careful servers do it: the old key stays published for those who hold tokens of it. */
    async function rotate(op: Provider): Promise<void> {
      op.keys = [await newSigningKey(), ...op.keys.slice(0, 1)]
      keyServer.keys = [...op.keys]
    }

    async function signIn(): Promise<void> {
      logins += 1
      const name = `user-${logins}`
      const browser = await users.openBrowser(name)
      const page = await browser.visit(`${appUrl}/me`)
      if (page.body !== name) failed.push(`${name}: ${page.status} ${page.body.slice(0, 80)}`)
    }

    async function traffic(isOver: () => boolean): Promise<void> {
      const start = performance.now()
      const answers: Promise<void>[] = []
      for (let sent = 0; !isOver();) {
        for (; sent < ((performance.now() - start) / 1_000) * rate; sent += 1) {
          const token = keyServer.token()
          requests += 1
          answers.push(
            bare(api.url, { authorization: `Bearer ${token}` }).then(({ status, body }) => {
              if (status !== 200) refused.push(`${status} ${body.slice(0, 80)}`)
            }),
          )
        }
        await pause(5)
      }
      await Promise.all(answers)
    }

    try {
      await signIn()
      keyServer.keys = [...users.provider().keys]
      for (let rotation = 0; rotation < rotations; rotation += 1) {
        // So that the half minute between two fetches for unknown keys is over now and then, and now and then is not.
        if (rotation % 2 === 0) leap(61)
        let isOver = false
        const asked = traffic(() => isOver)
        await signIn()
        const before = fetches.login + fetches.api
        if (rotation % 2 === 0) await rotate(users.provider())
        else isJustBefore = true
        await signIn()
        await pause(long ? 1_000 : 300)
        await signIn()
        isOver = true
        await asked
        const fetched = fetches.login + fetches.api - before
        if (fetched > 2) greedy.push(`rotation ${rotation}: ${fetched}`)
      }
      return [
        noted('rotations', rotations),
        noted('logins', logins),
        exactly('failed logins', failed.length, 0, { details: failed.slice(0, 10) }),
        noted('requests to the API', requests),
        exactly('refused requests', refused.length, 0, { details: refused.slice(0, 10) }),
        exactly('rotations with more than two fetches', greedy.length, 0, { details: greedy.slice(0, 10) }),
        atMost('complaints of the server', users.server.complaints.length, 0, {
          details: users.server.complaints,
        }),
      ]
    } finally {
      travelHome()
      app.closeAllConnections()
      await Promise.all([api.close(), keyServer.close(), stopped(app), users.server.close()])
    }
  },
}

async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds))
}
