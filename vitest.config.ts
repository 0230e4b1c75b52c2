import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/no-canary-printed.ts'],
    // Many tests wait for times and servers: two at once are no burden, also where there are two processors.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    coverage: { include: ['lib/**'], exclude: ['lib/index.ts', 'lib/augment.ts'] },
  },
})
