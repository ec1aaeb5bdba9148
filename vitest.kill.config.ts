import { defineConfig } from 'vitest/config'

// npm run test:kill: real restores that are killed at every write and border, and must end well nevertheless.
export default defineConfig({
  test: {
    globalSetup: ['test/kill/global-setup.ts'],
    include: ['test/kill/**/*.test.ts'],
    pool: 'forks',
    // Real processes under real time: a shared machine may be slow once. What fails is shown even where a retry passes.
    retry: process.env.CI ? 2 : 0,
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', './test/kill/count-reporter.ts'],
  },
})
