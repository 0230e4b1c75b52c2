import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, test } from 'vitest'

/** From the ground up: a file imports from its own floor or from one below. */
const floors = [
  '.',
  'jose',
  'stores',
  'oauth',
  'tokens',
  'proxy',
  'resource',
  'session',
  'connections',
  'connections/providers',
  'middleware',
  'testing',
  'cli',
]
/** Files that only name what may be imported. */
const doors = ['index.ts', 'augment.ts', 'providers.ts']

const files = readdirSync('lib', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
const imports = new Map(files.map((file) => [file, importsOf(file)]))

function importsOf(file: string): string[] {
  const text = readFileSync(join('lib', file), 'utf8')
  return [...text.matchAll(/^(?:import|export)\b[^'"]*?from '([^']+)'/gms)].map(([, from]) => from ?? '')
}

function inLib(file: string, from: string): string | undefined {
  return from.startsWith('.') ? normalize(join(dirname(file), from)).replace(/\.js$/, '.ts') : undefined
}

function floorOf(file: string): number {
  if (doors.includes(file)) return floors.length
  return floors.indexOf(dirname(file))
}

describe('the floors of lib', () => {
  test('every file stands on a floor', () => {
    expect(files.length).toBeGreaterThan(30)
    expect(files.filter((file) => floorOf(file) === -1)).toEqual([])
  })

  test('imports point to the same floor or down', () => {
    const upward = files.flatMap((file) =>
      (imports.get(file) ?? [])
        .map((from) => inLib(file, from))
        .filter((target) => target !== undefined && floorOf(target) > floorOf(file))
        .map((target) => `${file} → ${target}`),
    )
    expect(upward).toEqual([])
  })

  test('imports make no circle', () => {
    const done = new Set<string>()
    const circles: string[] = []
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' → '))
      if (done.has(file) || path.includes(file)) return
      for (const from of imports.get(file) ?? []) {
        const target = inLib(file, from)
        if (target !== undefined) visit(target, [...path, file])
      }
      done.add(file)
    }
    for (const file of files) visit(file, [])
    expect(circles).toEqual([])
  })

  test('openid-client is known to the protocol floor alone, and Express to nobody', () => {
    const users = (name: string) =>
      files.filter((file) => imports.get(file)?.some((from) => from.split('/')[0] === name))
    expect(users('openid-client').filter((file) => dirname(file) !== 'oauth')).toEqual([])
    expect(users('openid-client')).not.toEqual([])
    expect(users('express')).toEqual([])
    expect(users('express-session')).toEqual([])
  })

  test('every file begins by saying what it is for', () => {
    const silent = files.filter((file) => !readFileSync(join('lib', file), 'utf8').startsWith('/**'))
    expect(silent).toEqual([])
  })
})
