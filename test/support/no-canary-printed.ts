/** Around every test file: whatever it does, nothing that is printed shows a secret. */
import { afterAll, beforeAll } from 'vitest'
import { showsCanary } from './canaries.js'
import { captureOutput, type CapturedOutput } from './output.js'

let output: CapturedOutput

beforeAll(() => {
  output = captureOutput({ passOn: true })
})

afterAll(() => {
  output.restore()
  if (showsCanary(output.text())) throw new Error('a secret was printed')
})
