/** What is made when it is first asked for and kept while it is used: the one not used for longest goes first. */

export interface KeptInUse<T> {
  /** The value of this name; `make` makes it when there is none. */
  get(name: string, make: () => T): T
}

export function keptInUse<T>({ most, onLoss }: { most: number; onLoss?: () => void }): KeptInUse<T> {
  const kept = new Map<string, T>()
  return {
    get(name, make) {
      const value = kept.get(name) ?? make()
      // The order of a map is that of insertion: the first is the one not used for longest.
      kept.delete(name)
      kept.set(name, value)
      const [longest] = kept.keys()
      if (kept.size > most && longest !== undefined) {
        kept.delete(longest)
        onLoss?.()
      }
      return value
    },
  }
}
