import { defineConfig } from 'vitest/config'

// npm run test:unit: without root and without the real tools. Tests that need either are called *.system.test.ts.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/{integration,kill,adversary,packages,pitr,sources,stack}/**', '**/*.system.test.ts'],
    pool: 'forks',
    isolate: false,
    maxWorkers: 4,
    testTimeout: 30_000,
  },
})
