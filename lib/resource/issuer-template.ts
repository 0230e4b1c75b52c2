/** The issuers of a server with many tenants, which tell in a claim which one they are: `https://…/{tid}/v2.0`. */

import type { Claims } from '../jose/jwt.js'

export interface IssuerTemplate {
  /** The claim that names the tenant. */
  readonly claim: string
  /** The issuer of one tenant. */
  issuerOf(tenant: string): string
  /** The tenant of a token whose `iss` and claim agree; nothing proves either yet. */
  tenantOf(claims: Claims): string | undefined
}

const placeholder = /\{([A-Za-z0-9_]+)\}/

/** Whether a text has a placeholder, or something that may be meant for one. */
export function hasPlaceholder(text: string): boolean {
  return /[{}]/.test(text)
}

/** Nothing unless the text has exactly one placeholder, after the host: no token may choose the host. */
export function issuerTemplate(text: string): IssuerTemplate | undefined {
  const [before = '', claim, after, ...more] = text.split(placeholder)
  const isPath = /^https?:\/\/[^/]+\//.test(before)
  if (claim === undefined || after === undefined || more.length > 0) return undefined
  if (!isPath || hasPlaceholder(before + after)) return undefined
  const issuerOf = (tenant: string) => `${before}${tenant}${after}`
  return {
    claim,
    issuerOf,
    tenantOf(claims) {
      const tenant = claims[claim]
      return isTenant(tenant) && claims['iss'] === issuerOf(tenant) ? tenant : undefined
    },
  }
}

/** A name that is one segment of a path and means nothing else there. */
export function isTenant(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9._-]{1,128}$/.test(value) && !/^\.\.?$/.test(value)
}
