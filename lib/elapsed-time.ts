/** How much time goes by, whatever the clock is set to meanwhile. */

/**
 * Seconds since this was called. They never go back: a clock that is set back takes nothing off the age of what was kept
 * before, and lengthens no wait. One that is set ahead counts, because nobody can tell it from a long sleep.
 */
export function elapsedTime(now: () => number): () => number {
  let elapsed = 0
  let seen = now()
  return () => {
    const present = now()
    if (present > seen) elapsed += present - seen
    seen = present
    return elapsed
  }
}
