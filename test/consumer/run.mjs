/**
 * The package as its users get it: packed, installed into an empty project, and used there on each supported Node by
 * ESM, by require() and from TypeScript. Run it with `npm run test:consumer`.
 */

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const here = import.meta.dirname
const root = join(here, '../..')
const nodes = ['20', '22', '24']
const compilers = ['5.9', '6.0', '7.0']

const scratch = mkdtempSync(join(tmpdir(), 'express-oauth-kit-consumer-'))
let passed = 0
let failed = 0

function run(command, args, cwd) {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

function check(name, work) {
  try {
    work()
    passed += 1
    console.log(`ok      ${name}`)
  } catch (error) {
    failed += 1
    console.log(`FAILED  ${name}\n${error.stdout ?? ''}${error.stderr ?? error}`)
  }
}

function project(name, dependencies) {
  const folder = join(scratch, name)
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, private: true, type: 'module' }))
  run('npm', ['install', '--no-audit', '--no-fund', tarball, ...dependencies], folder)
  cpSync(join(here, 'project'), folder, { recursive: true })
  return folder
}

const [{ filename }] = JSON.parse(
  run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', scratch], root),
)
const tarball = join(scratch, filename)

try {
  const plain = project('plain', ['express@5', '@types/node@20'])
  for (const node of nodes) {
    check(`Node ${node}: import`, () => run('npx', ['-y', '-p', `node@${node}`, 'node', 'use.mjs'], plain))
    check(`Node ${node}: require()`, () => run('npx', ['-y', '-p', `node@${node}`, 'node', 'use.cjs'], plain))
  }
  const typed = project('typed', [
    'express@5',
    'express-session@1',
    '@types/node@20',
    '@types/express@5',
    '@types/express-session@1',
  ])
  for (const compiler of compilers) {
    const tsc = ['-y', '-p', `typescript@~${compiler}.0`, 'tsc', '--noEmit', '-p']
    check(`TypeScript ${compiler} without @types/express`, () =>
      run('npx', [...tsc, 'tsconfig.plain.json'], plain),
    )
    check(`TypeScript ${compiler} with @types/express`, () =>
      run('npx', [...tsc, 'tsconfig.typed.json'], typed),
    )
  }
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
console.log(`Consumer checks: ${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
