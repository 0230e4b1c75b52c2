/** The recipe of the documentation: security requirements of an OpenAPI document, made from the routes themselves. */
import { requirementsOf } from '../../lib/index.js'

type Layer = { handle?: unknown; method?: string; route?: { path: string; stack: Layer[] } }
type Operations = Record<string, Record<string, { security: Record<string, string[]>[] }>>

/** Paths of a router of Express 4 or 5. A router does not know where it is mounted: `prefix` says so. */
export function openApiPaths(router: { stack: Layer[] }, prefix = ''): Operations {
  const paths: Operations = {}
  for (const { route } of router.stack) {
    if (!route) continue
    const path = prefix + route.path.replace(/:(\w+)/g, '{$1}')
    for (const method of new Set(route.stack.map((layer) => layer.method ?? 'get'))) {
      const own = route.stack.filter((layer) => layer.method === undefined || layer.method === method)
      const needs = requirementsOf(own.map((layer) => layer.handle))
      const all = needs.flatMap((need) => (need.kind === 'scope' ? need.all : []))
      const any = needs.flatMap((need) => (need.kind === 'anyScope' ? need.any : []))
      // OpenAPI: one of the list is enough, and each of them needs all of its scopes.
      const ways = (any.length > 0 ? any : ['']).map((one) => ({ oauth: [...all, one].filter(Boolean) }))
      const isOptional = needs.every(({ kind }) => kind === 'optionalLogin')
      const security = needs.length === 0 ? [] : isOptional ? [{}, ...ways] : ways
      paths[path] = { ...paths[path], [method]: { security } }
    }
  }
  return paths
}
