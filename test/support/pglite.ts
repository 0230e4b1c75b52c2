/** A PGlite of a test's own, in memory or in a folder that goes with the test. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'

/** In memory, or with what is in the folder. A few megabytes do for tests, where usual are some hundred. */
export async function openPGlite(folder?: string): Promise<PGlite> {
  const small = { initialMemory: 128 * 1024 * 1024, postgresqlconf: ['shared_buffers=16MB'] }
  return PGlite.create({ ...small, ...(folder !== undefined && { dataDir: folder }) })
}

export interface DataFolder {
  readonly path: string
  remove(): void
}

export function dataFolder(): DataFolder {
  const parent = mkdtempSync(join(tmpdir(), 'pglite-'))
  return { path: join(parent, 'data'), remove: () => rmSync(parent, { recursive: true, force: true }) }
}
