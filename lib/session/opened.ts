/** What was opened before: browsers send the same cookies with each request, and they say the same each time. */

export interface Opened<T> {
  /** What exactly this text was opened to for this place, unless its time is over. */
  get(sealed: string, context?: string): T | undefined
  /**
   * Frozen to the bottom: what one handler changes must not be what the next request is judged by. `until` in seconds
   * since the epoch.
   */
  keep(value: T, opened: { sealed: string; context?: string; until: number }): void
}

export interface OpenedOptions {
  /** Values at most. */
  most: number
  /** Characters of all sealed texts at most. */
  mostCharacters: number
  now: () => number
}

interface File<T> {
  readonly sealed: string
  readonly context: string | undefined
  readonly value: T
  readonly until: number
}

/**
 * Characters at the end of a sealed text that it is filed under, and compared as a whole then. They are of the tag, which
 * nobody can choose; to find a text by all of its characters takes longer.
 */
const nameLength = 16

/** Of one seal alone. When there is no more room, what was not used for longest goes. */
export function createOpened<T>({ most, mostCharacters, now }: OpenedOptions): Opened<T> {
  const files = new Map<string, File<T>>()
  let characters = 0

  function remove(name: string, { sealed }: File<T>): void {
    files.delete(name)
    characters -= sealed.length
  }

  return {
    get(sealed, context) {
      const name = sealed.slice(-nameLength)
      const file = files.get(name)
      if (file?.sealed !== sealed || file.context !== context) return undefined
      if (now() >= file.until) {
        remove(name, file)
        return undefined
      }
      // The order of a map is that of insertion: the first is what was not used for longest.
      files.delete(name)
      files.set(name, file)
      return file.value
    },

    keep(value, { sealed, context, until }) {
      deeplyFreeze(value)
      if (sealed.length > mostCharacters) return
      const name = sealed.slice(-nameLength)
      const namesake = files.get(name)
      if (namesake) remove(name, namesake)
      // A copy: a part of a header would keep the whole header.
      const copy = Buffer.from(sealed, 'latin1').toString('latin1')
      files.set(name, { sealed: copy, context, value, until })
      characters += sealed.length
      for (const [oldest, file] of files) {
        if (files.size <= most && characters <= mostCharacters) break
        remove(oldest, file)
      }
    },
  }
}

function deeplyFreeze(value: unknown): void {
  if (value === null || typeof value !== 'object') return
  for (const member of Object.values(value)) deeplyFreeze(member)
  Object.freeze(value)
}
