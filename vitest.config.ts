import { defineConfig } from 'vitest/config'

/** Small files that leave nothing behind: they share what they load, which takes as long as most of them. */
const light = ['test/connections/**/*.test.ts', 'test/threats/connections/*.test.ts']

export default defineConfig({
  test: {
    // Many tests wait for times and servers: two at once are no burden, also where there are two processors.
    maxWorkers: 2,
    coverage: { include: ['lib/**'], exclude: ['lib/index.ts', 'lib/augment.ts'] },
    projects: [
      { extends: true, test: { name: 'each alone', include: ['test/**/*.test.ts'], exclude: light } },
      { extends: true, test: { name: 'together', include: light, isolate: false } },
    ],
    setupFiles: ['test/support/no-canary-printed.ts'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
})
