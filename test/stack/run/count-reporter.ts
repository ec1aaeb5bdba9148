import type { Reporter, TestModule } from 'vitest/node'

/** Makes the very last line of a run `N passed, M failed`. A file that could not be run at all is one failure. */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    let passed = 0
    let failed = unhandled.length
    for (const module of modules) {
      const states = [...module.children.allTests()].map(test => test.result().state)
      // One that was skipped, or never begun, has not passed.
      const others = states.filter(state => state !== 'passed').length
      passed += states.length - others
      failed += others === 0 && !module.ok() ? 1 : others
    }
    // The set-up failed before any file.
    if (passed + failed === 0) failed = 1
    process.once('exit', () => process.stdout.write(`${passed} passed, ${failed} failed\n`))
  }
}
