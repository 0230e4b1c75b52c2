/** Faults of discovery: a server that is down, slow, not itself or not a server. */
import { hang, html, json, redirect, reset } from '../answer.js'
import { metadata } from '../discovery.js'
import type { Steps } from '../provider.js'

export const discoveryFaults = {
  'discovery-down': { answerDiscovery: () => reset() },
  'discovery-500': { answerDiscovery: () => json({ error: 'server_error' }, 500) },
  'discovery-html': { answerDiscovery: () => html('<h1>Please sign in</h1>') },
  'discovery-hang': { answerDiscovery: () => hang() },
  'discovery-redirect': {
    answerDiscovery: (op) => redirect(`${op.elsewhere}/.well-known/openid-configuration`),
  },
  'discovery-issuer-slash': { metadata: (op) => ({ ...metadata(op), issuer: `${op.issuer}/` }) },
} satisfies Record<string, Partial<Steps>>
