/** The tokens of a run: first a good one of each kind, then each mutation alone, then several at once. */
import type { Random } from '../support/campaign.js'
import { newDraft, tokenOf } from './draft.js'
import { algorithms, type KeyRing } from './key-ring.js'
import { claimMutations } from './mutations/claims.js'
import { headerMutations } from './mutations/header.js'
import { pick, type Mutation } from './mutations/mutation.js'
import { signatureMutations } from './mutations/signature.js'
import { spellingMutations } from './mutations/spelling.js'

export interface Case {
  readonly number: number
  readonly token: string
  /** What was done to a good one. */
  readonly mutations: readonly string[]
}

export const isGood = ({ mutations }: Case) => mutations.length === 0

export function* casesFrom(ring: KeyRing, issuer: string, random: Random, long: boolean): Generator<Case> {
  const now = Math.floor(Date.now() / 1_000)
  const families = [headerMutations, claimMutations(now), signatureMutations, spellingMutations]
  const single = families.flat()
  const made = (number: number, mutations: readonly Mutation[], kind: number): Case => {
    const key = ring.keys[algorithms[kind % algorithms.length]!]
    const typ = Math.floor(kind / algorithms.length) % 2 ? 'JWT' : 'at+jwt'
    const draft = newDraft(ring, key, issuer, typ, now)
    for (const mutation of mutations) mutation.apply(draft, random)
    return { number, token: tokenOf(draft), mutations: mutations.map(({ name }) => name) }
  }
  const kinds = 2 * algorithms.length
  const anyKind = () => Math.floor(random() * kinds)
  let number = 0
  for (; number < kinds; number += 1) yield made(number, [], number)
  for (const mutation of single) {
    const kind = anyKind()
    yield made((number += 1), [mutation], kind)
    // With and without a type of its own; the short form takes what comes.
    if (long) yield made((number += 1), [mutation], kind + algorithms.length)
  }
  for (const count = long ? 50_000 : 3_000; number < count; number += 1) {
    const several = Array.from({ length: 1 + Math.floor(random() * 3) }, () =>
      pick(pick(families, random), random),
    )
    yield made(number, several, anyKind())
  }
}
