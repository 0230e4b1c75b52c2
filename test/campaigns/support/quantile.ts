/** The value that so many of the others do not exceed; `quantile(times, 0.99)` is what 99 of 100 stay within. */
export function quantile(values: readonly number[], share: number): number {
  const ordered = values.toSorted((a, b) => a - b)
  return ordered[Math.max(0, Math.ceil(share * ordered.length) - 1)] ?? 0
}
