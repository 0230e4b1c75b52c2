/** The script for pages that the documentation shows is the one that the demo serves and the tests run. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

test('the documentation shows api.js as it is', () => {
  const pages = ['.', 'docs'].flatMap((folder) =>
    readdirSync(folder)
      .filter((file) => file.endsWith('.md'))
      .map((file) => readFileSync(join(folder, file), 'utf8')),
  )
  const shown = pages
    .flatMap((page) => [...page.matchAll(/^```js\n(.*?)^```$/gms)])
    .map(([, code = '']) => code)
    .filter((code) => code.includes('export async function api('))
  expect(shown).toEqual([readFileSync('example-app/public/api.js', 'utf8')])
})
