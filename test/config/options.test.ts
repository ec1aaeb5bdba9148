import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { DOC, withTable } from '../../scripts/option-docs.ts'
import { restoreFlags } from '../../src/cli/restore-flags.ts'
import { OPTION_NAMES, OPTIONS, optionsSchema, RESTORE_KEYS } from '../../src/config/options.ts'
import { sampleOptions } from '../support/samples.ts'

test('docs/configuration.md has the table of options (node scripts/option-docs.ts writes it)', () => {
  const page = readFileSync(DOC, 'utf8')
  expect(page).toBe(withTable(page))
  for (const key of RESTORE_KEYS) expect(page).toContain(`| \`${key}\` |`)
})

test('every option but the source, one tool of restore.yaml and older backups has a flag, and each flag is in --help once', () => {
  const without = OPTION_NAMES.filter(name => OPTIONS[name].flag === null)
  expect(without).toEqual(['sources', 'toolPath', 'deadlineAfterMs', 'olderBackups'])
  expect(restoreFlags().map(({ flags }) => flags)).toHaveLength(OPTION_NAMES.length - without.length)
})

test('options are read from state.json as they were written, and one that an older agent did not know has its default', () => {
  const options = sampleOptions({ owner: { user: 'mysql', group: null }, stallThresholds: { flush: 1 } })
  expect(optionsSchema.parse(JSON.parse(JSON.stringify(options)))).toEqual(options)
  const { retries: _, prefetch: __, ...older } = options
  expect(optionsSchema.parse(older)).toEqual(options)
})
