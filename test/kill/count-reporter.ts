import type { Reporter, TestModule } from 'vitest/node'

/**
 * The last line: `N passed, M failed`. A module that could not be run counts as one that failed, and so does a run of
 * nothing.
 */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    let passed = 0
    let failed = unhandled.length
    for (const module of modules) {
      failed += module.errors().length
      for (const test of module.children.allTests()) {
        if (test.result().state === 'passed') passed += 1
        else failed += 1
      }
    }
    if (passed + failed === 0) failed = 1
    process.on('exit', () => process.stdout.write(`${passed} passed, ${failed} failed\n`))
  }
}
