import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { basename, dirname, join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import ts from 'typescript'
import { afterAll, describe, expect, test } from 'vitest'
import { openBrowser } from './support/browser.js'
import { startFaultyServer } from './support/faulty-server.js'
import { listening, stopped } from './support/listening.js'
import { examples, upToDate } from './support/readme.js'

const readme = readFileSync('README.md', 'utf8')
const optionsPage = join('docs', 'options.md')
const pages = ['README.md', ...readdirSync('docs').map((file) => join('docs', file))]
const [firstExample = ''] = examples(readme)

// Inside the repository, so that the examples find the package by its name, as they would in an app.
const folder = mkdtempSync('test/.readme-')
afterAll(() => rmSync(folder, { recursive: true }))

describe('the README', () => {
  test('the tables of options and errors are those of the code', async () => {
    const page = optionsPage
    const options = await resolveConfig(page)
    const wanted = await format(upToDate(readFileSync(page, 'utf8')), { ...options, parser: 'markdown' })
    if (process.env['UPDATE_DOCS']) writeFileSync(page, wanted)
    expect(readFileSync(page, 'utf8'), 'run: npm run docs').toBe(wanted)
  })

  test.each(pages)('%s links to what is there', (page) => {
    const missing = [...readFileSync(page, 'utf8').matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link = '']) => link)
      .filter((link) => !/^https?:/.test(link) && !isThere(page, link))
    expect(missing).toEqual([])
  })

  test('it shows the two commands', () => {
    expect(readme).toContain('npm ci && npm start')
    expect(readme).toContain('npm ci && npm test')
  })

  // Page by page: one shows the MCP SDK, whose types have another `req.auth`.
  test.each(pages.filter((page) => page !== optionsPage))('the examples of %s compile', (page) => {
    const all = examples(readFileSync(page, 'utf8'))
    const files = all.map((code, index) => {
      const file = join(folder, `${basename(page, '.md')}-${index}.ts`)
      writeFileSync(file, code)
      return file
    })
    const program = ts.createProgram(files, {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      types: ['node'],
      strict: true,
      skipLibCheck: true,
      noEmit: true,
    })
    const problems = ts
      .getPreEmitDiagnostics(program)
      .map((problem) => ts.flattenDiagnosticMessageText(problem.messageText, '\n'))
    expect(files.length).toBeGreaterThan(3)
    expect(problems).toEqual([])
  })

  test('its first example signs a user in, as pasted', async () => {
    const port = await freePort()
    const server = await startFaultyServer({
      clientId: 'readme',
      clientSecret: 'a secret of the example',
      redirectUri: `http://localhost:${port}/callback`,
    })
    const app = await startExample(port, server.issuer)
    try {
      const page = await openBrowser().visit(`http://localhost:${port}/`)
      expect(page.status).toBe(200)
      expect(JSON.parse(page.body)).toMatchObject({ iss: server.issuer, sub: expect.any(String) })
    } finally {
      app.kill()
      await server.close()
    }
  })
})

/** Whether the file of a link is there, and the heading by its anchor. */
function isThere(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#')
  const file = path === '' ? page : join(dirname(page), path)
  if (!existsSync(file) || anchor === undefined) return existsSync(file)
  const headings = [...readFileSync(file, 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
  return headings.includes(anchor)
}

/** The example in a process of its own, on another port so that it runs beside a demo. */
async function startExample(port: number, issuer: string): Promise<ChildProcess> {
  const file = join(folder, 'first-example.mjs')
  const code = firstExample.replaceAll('3000', String(port))
  const options = { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext }
  writeFileSync(file, ts.transpileModule(code, { compilerOptions: options }).outputText)
  const app = spawn(process.execPath, [file], {
    env: {
      ...process.env,
      ISSUER: issuer,
      CLIENT_ID: 'readme',
      CLIENT_SECRET: 'a secret of the example',
      COOKIE_SECRET: 'sdfjk234-sdkfj-q9w8e7rtz-6543-mnbv',
    },
    stdio: 'inherit',
  })
  for (let attempt = 0; attempt < 100; attempt++) {
    if (app.exitCode !== null) throw new Error('the example ended')
    const answered = await fetch(`http://localhost:${port}/`, { redirect: 'manual' }).then(
      () => true,
      () => false,
    )
    if (answered) return app
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  app.kill()
  await once(app, 'exit')
  throw new Error('the example did not start')
}

async function freePort(): Promise<number> {
  const server = createServer()
  const url = await listening(server, 'localhost')
  await stopped(server)
  return Number(new URL(url).port)
}
