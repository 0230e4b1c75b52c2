/** A PostgreSQL of a test's own. */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { startServerProcess, type ServerProcess } from './server-process.js'

export interface PostgresServer extends ServerProcess {
  readonly connectionString: string
}

/** Debian keeps its binaries away from the PATH, by version. */
const debian = '/usr/lib/postgresql'
const folders = [
  ...(process.env['PATH'] ?? '').split(delimiter),
  ...(existsSync(debian) ? readdirSync(debian) : [])
    .toSorted((a, b) => Number(b) - Number(a))
    .map((version) => join(debian, version, 'bin')),
]
const binaries = folders.find((folder) =>
  ['initdb', 'postgres'].every((name) => existsSync(join(folder, name))),
)

export const hasPostgres = binaries !== undefined

/** What it keeps survives a restart and a crash of its own; it does not wait for the disk. */
export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  if (binaries === undefined) throw new Error('PostgreSQL is not installed')
  const user = unprivileged()
  const server = await startServerProcess({
    name: 'postgres',
    command: join(binaries, 'postgres'),
    arguments: (port, folder) => {
      const loopback = [
        '-p',
        String(port),
        '-c',
        'listen_addresses=127.0.0.1',
        '-c',
        'unix_socket_directories=',
      ]
      const log = ['-c', 'log_destination=stderr', '-c', 'logging_collector=off']
      return ['-D', join(folder, 'data'), ...loopback, ...log, '-c', 'fsync=off', ...settings]
    },
    ready: /database system is ready to accept connections/,
    stopSignal: 'SIGINT',
    ...(user && { user }),
    async prepare(folder) {
      const options = ['--auth=trust', '--username=postgres', '--encoding=UTF8', '--locale=C', '--no-sync']
      await promisify(execFile)(join(binaries, 'initdb'), ['-D', join(folder, 'data'), ...options], {
        cwd: folder,
        ...user,
      })
    },
  })
  const connectionString = `postgres://postgres@127.0.0.1:${server.port}/postgres`
  return Object.assign(server, { connectionString })
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (what: string) => Number(execFileSync('id', [what, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}
