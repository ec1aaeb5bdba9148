import { defineConfig } from 'vitest/config'

// npm run test:sources: every kind of source against a real server on loopback, and networks that fail.
export default defineConfig({
  test: {
    globalSetup: ['test/integration/global-setup.ts'],
    include: ['test/sources/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
