import { defineConfig } from 'vitest/config'

// npm run test:pitr: real binlogs of a real server are applied to real restores, up to every kind of target.
export default defineConfig({
  test: {
    globalSetup: ['test/integration/global-setup.ts', 'test/pitr/global-setup.ts'],
    include: ['test/pitr/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
})
