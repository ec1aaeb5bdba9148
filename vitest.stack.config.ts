import { defineConfig } from 'vitest/config'

// npm run test:stack: real collector, Prometheus and Jaeger. The alerts' mutants fill the waiting of the others.
export default defineConfig({
  test: {
    globalSetup: ['test/stack/run/global-setup.ts'],
    include: ['test/stack/**/*.test.ts'],
    reporters: ['default', './test/stack/run/count-reporter.ts'],
    pool: 'forks',
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 45 * 60_000,
    maxConcurrency: 2,
  },
})
