/** What a run has seen, and the figures of it. */
import { isDeepStrictEqual } from 'node:util'
import { exactly, noted, type Figure } from '../support/campaign.js'
import { isGood, type Case } from './cases.js'
import { explained, milder, mustBeRefused, stricter, type Situation } from './differences.js'
import { isGenuine } from './draft.js'
import type { KeyRing } from './key-ring.js'
import { readingOf } from './reading.js'
import type { Peer, Verdict } from './verifiers.js'

type Comparison = 'remembered' | 'http'

export interface Tally {
  add(one: Case, verdict: Verdict, others: ReadonlyMap<Peer, Verdict>): void
  /** Our own verdicts, reached in two ways. */
  compare(how: Comparison, one: Case, verdict: Verdict, other: Verdict): void
  figures(options: { long: boolean }): Figure[]
}

export function newTally(ring: KeyRing, situation: Situation): Tally {
  let cases = 0
  let accepted = 0
  let sent = 0
  let byAll = 0
  const classes = new Map([...stricter, ...milder].map(({ name }) => [name, 0]))
  const alone = new Map<string, number>()
  const seen = {
    good: [] as string[],
    onlyUs: [] as string[],
    unexplained: [] as string[],
    forged: [] as string[],
    mild: [] as string[],
    misread: [] as string[],
    failures: [] as string[],
    remembered: [] as string[],
    http: [] as string[],
  }
  const told = ({ number, mutations }: Case, verdict: Verdict, others: ReadonlyMap<Peer, Verdict>) =>
    [
      `token ${number} (${mutations.join(' + ') || 'as it should be'})`,
      `we ${said(verdict)}`,
      ...[...others].map(([peer, one]) => `${peer} ${said(one)}`),
    ].join('; ')

  return {
    add(one, verdict, others) {
      cases += 1
      const reading = readingOf(one.token)
      const line = () => told(one, verdict, others)
      const accepting = [...others].filter(([, other]) => other.claims)
      if (verdict.failure !== undefined) seen.failures.push(line())
      if (isGood(one) && !verdict.claims) seen.good.push(line())
      if (verdict.claims) {
        accepted += 1
        if (accepting.length === 0) seen.onlyUs.push(line())
        if (!isGenuine(one.token, ring)) seen.forged.push(line())
        for (const name of mustBeRefused(reading, situation)) seen.mild.push(`${name}: ${line()}`)
        if (accepting.some(([, { claims }]) => !isDeepStrictEqual(claims, verdict.claims)))
          seen.misread.push(line())
      }
      const names = new Set<string>()
      for (const [peer, other] of others) {
        if ((other.claims === undefined) === (verdict.claims === undefined)) continue
        const name = explained(reading, situation, verdict.refusal, peer)
        if (name === undefined) seen.unexplained.push(`${peer}: ${line()}`)
        else names.add(name)
      }
      for (const name of names) classes.set(name, (classes.get(name) ?? 0) + 1)
      if (!verdict.claims && accepting.length === others.size) {
        byAll += 1
        for (const name of names) alone.set(name, (alone.get(name) ?? 0) + 1)
      }
    },
    compare(how, one, verdict, other) {
      if (how === 'http') sent += 0.5 // each twice
      const isSame = (verdict.claims === undefined) === (other.claims === undefined)
      if (!isSame || (how === 'remembered' && verdict.refusal !== other.refusal))
        seen[how].push(`${told(one, verdict, new Map())}, or ${said(other)}`)
    },
    figures({ long }) {
      const none = (what: string, lines: readonly string[]) =>
        exactly(what, lines.length, 0, { details: lines.slice(0, 10) })
      const unused = [...classes].filter(([, count]) => count === 0).map(([name]) => name)
      return [
        noted('tokens', cases),
        noted('of them accepted by us', accepted),
        noted('of them sent over HTTP, too', sent),
        none('accepted by us, refused by all others', seen.onlyUs),
        none('accepted by us, never signed by the issuer', seen.forged),
        none('accepted by us, of a kind that we refuse', seen.mild),
        none('differences without a name', seen.unexplained),
        // Too few tokens for some in the short form.
        ...(long ? [none('names without a difference', unused)] : []),
        none('claims that others read otherwise', seen.misread),
        none('good tokens refused by us', seen.good),
        none('neither accepted nor refused by us', seen.failures),
        none('other verdicts when tokens are remembered', seen.remembered),
        none('other verdicts over HTTP', seen.http),
        noted('refused by us, accepted by all others', byAll),
        ...stricter.map(({ name }) =>
          noted(`refused by us, accepted by others: ${name}`, classes.get(name) ?? 0, {
            unit: alone.has(name) ? `(${alone.get(name)} by all)` : '',
          }),
        ),
        ...milder.map(({ name }) =>
          noted(`accepted by us, refused by others: ${name}`, classes.get(name) ?? 0),
        ),
      ]
    },
  }
}

function said({ claims, refusal }: Verdict): string {
  return claims ? 'accept it' : `refuse it (${refusal})`
}
