import { defineConfig } from 'vitest/config'

// npm run test:packages: every package is built, installed where there is no Node.js, and restores a real backup.
export default defineConfig({
  test: {
    globalSetup: ['test/integration/global-setup.ts', 'test/packages/global-setup.ts'],
    include: ['test/packages/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 10 * 60_000,
  },
})
