/**
 * What something takes when nothing disturbs it. Neighbours on the machine only ever make a slice dearer, some of them for
 * seconds at a time, so the dear ones say nothing: what counts is the mean of the cheapest quarter. It moves less than a
 * single quantile, and less than the minimum, which is the luckiest slice and not the usual one.
 */
export function undisturbed(costs: readonly number[]): number {
  const cheapest = costs.toSorted((a, b) => a - b).slice(0, Math.ceil(costs.length / 4))
  return cheapest.reduce((sum, cost) => sum + cost, 0) / cheapest.length
}
