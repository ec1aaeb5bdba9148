import { join } from 'node:path'
import { expect, test } from 'vitest'
import { flagsToKeys } from '../../src/cli/restore-flags.ts'
import { runCli } from '../../src/cli/run-cli.ts'
import { version } from '../../src/cli/version.ts'
import { captureOutput } from '../support/capture-output.ts'
import { scratch } from '../support/scratch.ts'

const said = captureOutput()

test.each([['--help'], ['restore', '--help'], ['inspect', '--help'], ['check', '--help']])(
  '%s %s: 0',
  async (...argv) => {
    expect(await runCli(argv.filter(Boolean))).toBe(0)
    expect(said.stdout).toMatch(/Usage: restore-agent/)
    expect(said.stderr).toBe('')
  },
)

test('--version prints the version of the package', async () => {
  expect(await runCli(['--version'])).toBe(0)
  expect(said.stdout.trim()).toBe(version)
})

test.each([
  [['restor'], /unknown command 'restor'/],
  [['restore', 'x', '--data-dir', 'y'], /unknown option '--data-dir'.*--datadir/s],
  [['restore', 'x'], /--datadir: missing/],
  [['restore', '--datadir', '/d'], /SOURCE: missing/],
  [['restore', 'x', '--datadir', '/d', '--in-place', '--target-dir', '/t'], /--in-place: /],
  [['restore', '-', 'x', '--datadir', '/d'], /standard input/],
  [['restore', 'x', '--datadir', '/d', '--stall-threshold', 'nap=3m'], /--stall-threshold/],
  [['inspect'], /missing required argument 'SOURCE'/],
])('%j: usage', async (argv, message) => {
  expect(await runCli(argv)).toBe(2)
  expect(said.stdout).toBe('')
  expect(said.stderr).toMatch(/^error usage: /)
  expect(said.stderr).toMatch(message)
  expect(said.stderr).toMatch(/^hint: /m)
})

test('a flag that is close is named in the same line', async () => {
  expect(await runCli(['restore', 'x', '--datadirr', 'y'])).toBe(2)
  expect(said.stderr).toMatch(/^error usage: unknown option '--datadirr' \(Did you mean --datadir\?\)$/m)
})

test('without a command: help on stderr, and no more', async () => {
  expect(await runCli([])).toBe(2)
  expect(said.stdout).toBe('')
  expect(said.stderr).toMatch(/^Usage: restore-agent/)
  expect(said.stderr).not.toContain('error')
})

test('a threshold before SOURCE does not take it for another one, and more of them add up', async () => {
  const thresholds = ['--stall-threshold', 'flush=5m', '--stall-threshold', 'verify=3m']
  const folder = scratch()
  const places = ['--datadir', join(folder, 'data'), '--state-dir', join(folder, 'state')]
  expect(await runCli(['restore', '--dry-run', ...places, ...thresholds, join(folder, 'full.xb')])).toBe(20)
  expect(await runCli(['restore', '--dry-run', ...places, '--stall-threshold', 'nap=5m', ...thresholds, 'x'])).toBe(2)
  expect(said.stderr).toContain('--stall-threshold')
})

test('with --json the error is an object on stdout', async () => {
  expect(await runCli(['restore', 'x', '--json'])).toBe(2)
  expect(said.stderr).toBe('')
  expect(JSON.parse(said.stdout)).toMatchObject({ type: 'error', error: { code: 'usage', exit_code: 2 } })
})

test('flags become the keys of restore.yaml; what nobody said is left out', () => {
  expect(
    flagsToKeys({ targetDir: '/t', stallThreshold: ['verify=3m'], color: true, config: 'x.yaml', startCheck: true }),
  ).toEqual({ target_dir: '/t', stall_thresholds: ['verify=3m'], start_check: true })
  expect(flagsToKeys({ color: false })).toEqual({ color: false })
})
