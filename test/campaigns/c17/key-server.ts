/** Serves the keys of an issuer, and under another path those that tokens would like to be verified with. */
import { createServer } from 'node:http'
import { listening, stopped } from '../../support/listening.js'
import type { KeyRing } from './key-ring.js'

export async function startKeyServer({ published, foreign }: KeyRing) {
  const requests: string[] = []
  const server = createServer((req, res) => {
    requests.push(req.url ?? '')
    const keys = req.url === '/keys' ? published : Object.values(foreign).map(({ jwk }) => jwk)
    res.setHeader('content-type', 'application/json').end(JSON.stringify({ keys }))
  })
  return {
    url: await listening(server),
    requests: (path: string) => requests.filter((one) => one === path).length,
    stop: async () => stopped(server),
  }
}
