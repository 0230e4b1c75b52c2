/** The folder with what the demo remembers over a restart. It is for one process at a time. */

import { randomBytes } from 'node:crypto'
import { createConnection } from 'node:net'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SettingsError } from './settings.js'

export interface DataFolder {
  /** Where something of this name is, or will be. */
  path(name: string): string
  /** What was last written under this name. */
  read(name: string): string | undefined
  /** Readable by nobody else, and never half written. */
  write(name: string, text: string): void
  /** Lets another process have it. */
  release(): void
}

/**
 * `port` is the one that this process will listen on, by which others see that it runs. Throws a `SettingsError` when
 * another process has the folder, or it cannot be written to.
 */
export async function openDataFolder(folder: string, port: number): Promise<DataFolder> {
  const path = (name: string) => join(folder, name)
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    await takeLock(path('lock'), port)
  } catch (cause) {
    if (cause instanceof SettingsError) throw cause
    throw new SettingsError(
      `The folder ${folder} cannot be used (${String(cause)}). Choose another by DATA=folder, or put DATA=memory in front of the command.`,
      { cause },
    )
  }
  return {
    path,
    read: (name) => textOf(path(name)),
    write(name, text) {
      writeFileSync(path(`${name}.new`), text, { mode: 0o600 })
      renameSync(path(`${name}.new`), path(name))
    },
    release: () => rmSync(path('lock'), { force: true }),
  }
}

/** The secret that was made at the very first start: what is sealed with it must open after a restart. */
export function keptSecret(folder: DataFolder, name: string): string {
  const kept = folder.read(name)
  if (kept !== undefined) return kept
  const made = randomBytes(32).toString('base64url')
  folder.write(name, made)
  return made
}

/** A process that was killed leaves its lock behind: what counts is whether it answers. */
async function takeLock(file: string, port: number): Promise<void> {
  const holder = Number(textOf(file))
  if (holder > 0 && (await answers(holder))) {
    throw new SettingsError(
      `The demo runs already, at http://localhost:${holder}, and has the folder with the data. Stop it, or choose another folder by putting DATA=other in front of the command.`,
    )
  }
  writeFileSync(file, String(port), { mode: 0o600 })
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: 'localhost' })
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (Object(error).code === 'ENOENT') return undefined
    throw error
  }
}
