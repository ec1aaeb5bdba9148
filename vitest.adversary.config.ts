import { defineConfig } from 'vitest/config'

// npm run test:adversary: hostile backups, hostile local users, disks that fail or lie, kills at random moments.
export default defineConfig({
  test: {
    globalSetup: ['test/adversary/requirements.ts', 'test/integration/global-setup.ts', 'test/kill/global-setup.ts'],
    include: ['test/adversary/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    maxConcurrency: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', './test/kill/count-reporter.ts'],
  },
})
