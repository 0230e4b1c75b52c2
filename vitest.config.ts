import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/no-canary-printed.ts'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    coverage: { include: ['lib/**'], exclude: ['lib/index.ts', 'lib/augment.ts'] },
  },
})
