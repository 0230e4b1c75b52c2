/**
 * Tens of thousands of tokens that are not quite right, at our guard and at four other verifiers: whoever accepts what all others
 * refuse is wrong, and every other difference has a name. Keys are new in each run; what is done to a token follows from the seed.
 */
import { casesFrom, isGood, type Case } from './c17/cases.js'
import { asHeaderHasIt, canTravel, startGuardedApi } from './c17/guarded-api.js'
import { newKeyRing } from './c17/key-ring.js'
import { startKeyServer } from './c17/key-server.js'
import { newTally } from './c17/tally.js'
import { ours, peers, peerVerifiers } from './c17/verifiers.js'
import { atMost, exactly, type Campaign } from './support/campaign.js'
import { jump, travelHome } from './support/clock.js'

/** Seconds. */
const clockTolerance = 30
/** Tokens at once. */
const batch = 32
/** One of so many goes over HTTP, too. */
const share = 8

export const campaign: Campaign = {
  title: 'mutated tokens at our guard and at other verifiers',
  within: { short: 120, long: 900 },
  async run({ long, random }) {
    // No time goes by, so that all judge at the same one; half a second, because verifiers round.
    jump((500 - (Date.now() % 1_000)) / 1_000)
    const ring = newKeyRing()
    const keys = await startKeyServer(ring)
    const options = { issuer: keys.url, jwksUri: `${keys.url}/keys`, clockTolerance }
    const api = await startGuardedApi(options)
    try {
      const all = await peerVerifiers(options)
      const [guard, forgetful] = [ours(options, 20_000), ours(options, 0)]
      const tally = newTally(ring, { issuer: keys.url, now: Date.now() / 1_000, clockTolerance })
      const judge = async (one: Case) => {
        const { token } = one
        const overHttp = (isGood(one) || one.number % share === 0) && canTravel(token)
        const [verdict, again, answer, ...others] = await Promise.all([
          guard(token),
          forgetful(token),
          overHttp ? api.ask(token) : undefined,
          ...peers.map(async (peer) => all[peer](token)),
        ])
        tally.add(one, verdict, new Map(peers.map((peer, place) => [peer, others[place]!])))
        tally.compare('remembered', one, verdict, again)
        tally.compare('remembered', one, verdict, await guard(token))
        if (answer) {
          const wanted = await guard(asHeaderHasIt(token))
          tally.compare('http', one, wanted, answer)
          tally.compare('http', one, wanted, await api.ask(token))
        }
      }
      for (const cases of inBatches(casesFrom(ring, keys.url, random, long)))
        await Promise.all(cases.map(judge))
      return [
        ...tally.figures({ long }),
        exactly('requests to where tokens say that keys are', keys.requests('/foreign'), 0),
        // Each verifier once, and our three guards three times more for names that nobody knows.
        atMost('fetches of the keys', keys.requests('/keys'), 7 + 3 * 3),
      ]
    } finally {
      travelHome()
      await Promise.all([keys.stop(), api.stop()])
    }
  },
}

function* inBatches<T>(things: Iterable<T>): Generator<T[]> {
  let gathered: T[] = []
  for (const thing of things) {
    gathered.push(thing)
    if (gathered.length === batch) {
      yield gathered
      gathered = []
    }
  }
  yield gathered
}
