import { defineConfig } from 'vitest/config'

// npm run test:kill: real restores that are killed at every write and border, and must end well nevertheless.
export default defineConfig({
  test: {
    globalSetup: ['test/kill/global-setup.ts'],
    include: ['test/kill/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', './test/kill/count-reporter.ts'],
  },
})
