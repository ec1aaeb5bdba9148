import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/{kill,adversary,packages,pitr,sources,stack}/**'],
    pool: 'forks',
    maxWorkers: 2,
    globalSetup: ['test/integration/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 120_000,
    coverage: { include: ['src/**/*.ts'], reporter: ['text-summary', 'text'], thresholds: { lines: 90 } },
  },
})
