/** A real nginx of a test's own, in front of a server of the test, with the limits that it has by default. */
import { existsSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { startServerProcess } from './server-process.js'

export interface NginxOptions {
  /** Where it passes requests on to, without a slash at the end. */
  readonly upstream: string
  /** Lines for `http`, such as a place to cache in. */
  readonly http?: (folder: string) => readonly string[]
  /** Lines for the one `location`, beside `proxy_pass`. */
  readonly location?: readonly string[]
}

export interface Nginx {
  readonly url: string
  stop(): Promise<void>
}

/** Debian has it where only root's shell looks. */
const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin']
const program = folders.map((folder) => join(folder, 'nginx')).find((file) => existsSync(file))

export async function startNginx({ upstream, http = () => [], location = [] }: NginxOptions): Promise<Nginx> {
  if (program === undefined) throw new Error('nginx is missing. Install it; it is started from here.')
  const server = await startServerProcess({
    name: 'nginx',
    command: program,
    arguments(port, folder) {
      const file = join(folder, 'nginx.conf')
      const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      writeFileSync(
        file,
        [
          ...(process.getuid?.() === 0 ? ['user root;'] : []),
          'daemon off;',
          'worker_processes 1;',
          'error_log stderr notice;',
          `pid ${folder}/pid;`,
          'events { worker_connections 1024; }',
          'http {',
          'access_log off;',
          ...places.map((name) => `${name}_temp_path ${folder}/${name};`),
          ...http(folder),
          'server {',
          `listen 127.0.0.1:${port};`,
          'location / {',
          `proxy_pass ${upstream};`,
          ...location,
          '} } }',
        ].join('\n'),
      )
      return ['-p', folder, '-c', file, '-e', 'stderr']
    },
    ready: /start worker process/,
    stopSignal: 'SIGTERM',
  })
  return { url: `http://localhost:${server.port}`, stop: () => server.stop() }
}
