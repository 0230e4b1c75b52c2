/** Sessions that were opened before: browsers send the same cookie with each request, and it says the same each time. */

import type { Session } from './session.js'

export interface OpenedSessions {
  /** The session of exactly this text, unless its time is over. */
  get(sealed: string): Session | undefined
  /** It is frozen to the bottom: what one handler changes must not be what the next request is judged by. */
  keep(sealed: string, session: Session): void
}

export interface OpenedSessionsOptions {
  /** Sessions at most. */
  most: number
  /** Characters of all sealed texts at most. */
  mostCharacters: number
  now: () => number
}

interface Opened {
  readonly sealed: string
  readonly session: Session
}

/**
 * Characters at the end of a sealed text that it is filed under, and compared as a whole then. They are of the tag, which
 * nobody can choose; to find a text by all of its characters takes longer.
 */
const nameLength = 16

/** When there is no more room, the one not used for longest goes. */
export function openedSessions({ most, mostCharacters, now }: OpenedSessionsOptions): OpenedSessions {
  const files = new Map<string, Opened>()
  let characters = 0

  function remove(name: string, { sealed }: Opened): void {
    files.delete(name)
    characters -= sealed.length
  }

  return {
    get(sealed) {
      const name = sealed.slice(-nameLength)
      const opened = files.get(name)
      if (opened?.sealed !== sealed) return undefined
      if (now() >= opened.session.endsAt) {
        remove(name, opened)
        return undefined
      }
      // The order of a map is that of insertion: the first is the one not used for longest.
      files.delete(name)
      files.set(name, opened)
      return opened.session
    },

    keep(sealed, session) {
      deeplyFreeze(session)
      if (sealed.length > mostCharacters) return
      const name = sealed.slice(-nameLength)
      const namesake = files.get(name)
      if (namesake) remove(name, namesake)
      // A copy: a part of a header would keep the whole header.
      files.set(name, { sealed: Buffer.from(sealed, 'latin1').toString('latin1'), session })
      characters += sealed.length
      for (const [oldest, opened] of files) {
        if (files.size <= most && characters <= mostCharacters) break
        remove(oldest, opened)
      }
    },
  }
}

function deeplyFreeze(value: unknown): void {
  if (value === null || typeof value !== 'object') return
  for (const member of Object.values(value)) deeplyFreeze(member)
  Object.freeze(value)
}
