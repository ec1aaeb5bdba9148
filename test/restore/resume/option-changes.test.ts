import { describe, expect, test } from 'vitest'
import { OPTION_NAMES, type RestoreOptions } from '../../../src/config/options.ts'
import { changeOptions, optionNotices } from '../../../src/restore/resume/option-changes.ts'
import type { RestoreState } from '../../../src/restore/state/state.ts'
import { runOf, runsOf } from '../../support/runs.ts'
import { sampleOptions, samplePlan, sampleState, sampleTool, T0 } from '../../support/samples.ts'
import { refs } from '../../support/source-refs.ts'

const HOUR_MS = 3_600_000
const GiB = 1024 ** 3

/** Extracted, and killed in its prepare. */
const extracted = (changes: Partial<RestoreState> = {}): RestoreState =>
  sampleState({
    plan: samplePlan(),
    runs: runsOf(['1-fetch', '1-extract', '1-prepare'], ['1-extract', '1-fetch']),
    cleanup: {
      created: ['/data/mysql.restore-ID'],
      partialDatadir: null,
      returnFilesTo: null,
      parents: [],
      removing: false,
    },
    ...changes,
  })

/** Looked at, and nothing begun. */
const planned = (): RestoreState => sampleState({ plan: samplePlan() })

const NOTICE: { [K in keyof RestoreOptions]?: readonly [value: RestoreOptions[K], told: string] } = {
  memory: [2 * GiB, 'use_memory 2G (was auto)'],
  parallel: [4, 'parallel 4 (was default)'],
  decryptKeyFile: ['/keys/new', 'decrypt_key_file /keys/new (was none)'],
  encryptionKeyFile: ['/keys/tables', 'encryption_key_file /keys/tables (was none)'],
  rollbackPreparedTrx: [true, 'rollback_prepared_trx on (was off)'],
  opensslCipher: ['aes-128-cbc', 'openssl_cipher aes-128-cbc (was aes-256-cbc)'],
  owner: [{ user: 'mysql', group: 'adm' }, 'owner mysql:adm (was default)'],
  startCheck: [true, 'start_check on (was off)'],
  allowOutside: [true, 'allow_outside on (was off)'],
  deadlineMs: [T0 + HOUR_MS, 'deadline 2026-01-01T01:00:00Z (was none)'],
  stallTimeoutMs: [90_000, 'stall_timeout 1m30s (was default)'],
  stallAction: ['fail', 'stall_action fail (was warn)'],
  stallThresholds: [{ redo_scan: HOUR_MS, flush: 500 }, 'stall_thresholds redo_scan=1h00m, flush=500ms (was none)'],
  olderBackups: [
    [refs('/b/old.xb', '/b/inc.xb'), refs('/b/older')],
    'older_backups /b/old.xb /b/inc.xb, /b/older (was none)',
  ],
  retries: [0, 'retries 0 (was 3)'],
  stateWaitMs: [1, 'state_wait 1ms (was 10m00s)'],
  retryDelayMs: [1, 'retry_delay 1ms (was 5s)'],
  prefetch: [false, 'prefetch off (was auto)'],
  diskReserve: [5 * 1024 ** 3, 'disk_reserve 5G (was 1 % of the file system, at most 1G)'],
  maxBandwidth: [50 * 1024 ** 2, 'max_bandwidth 50M/s (was none)'],
  s3Endpoint: ['https://s3.example.com', 's3_endpoint https://s3.example.com (was AWS)'],
  s3Region: ['eu-west-1', 's3_region eu-west-1 (was as configured for AWS)'],
  s3Addressing: ['path', 's3_addressing path (was auto)'],
  s3RequesterPays: [true, 's3_requester_pays on (was off)'],
  s3SseKeyFile: ['/keys/sse', 's3_sse_key_file /keys/sse (was none)'],
}
const FIXED: { [K in keyof RestoreOptions]?: readonly [value: RestoreOptions[K], told: string] } = {
  targetDir: ['/elsewhere', 'target_dir default (not /elsewhere)'],
  tool: ['mariadb-backup', 'tool auto (not mariadb-backup)'],
  toolPath: ['/opt/mariadb-backup', 'tool_path default (not /opt/mariadb-backup)'],
  toolPaths: [['/opt/percona'], 'tool_paths none (not /opt/percona)'],
  binlogs: [{ kind: 'path', path: '/binlogs' }, 'binlogs none (not /binlogs)'],
  toTime: [T0 + 500, 'to_time none (not 2026-01-01T00:00:00.500Z)'],
  toGtid: ['0-1-7', 'to_gtid none (not 0-1-7)'],
  toPosition: ['bin.000001:4', 'to_position none (not bin.000001:4)'],
  toEnd: [true, 'to_end off (not on)'],
  binlogServerId: [2, 'binlog_server_id any (not 2)'],
  allowEarlier: [true, 'allow_earlier off (not on)'],
  inPlace: [true, 'in_place off (not on)'],
  runToolsAs: ['agent', 'run_tools_as owner (not agent)'],
}
const CALL: Partial<RestoreOptions> = { json: true, quiet: true, color: false, dryRun: true, deadlineAfterMs: null }

test('every option is one that is taken, one that stays, one of the call, or tells the restore', () => {
  const same = ['sources', 'backup', 'beforeMs', 'layout', 'datadir', 'stateDir']
  const sorted = [...Object.keys(NOTICE), ...Object.keys(FIXED), ...Object.keys(CALL), ...same]
  expect(sorted.sort()).toEqual([...OPTION_NAMES].sort())
  expect(Object.keys(sampleOptions()).sort()).toEqual([...OPTION_NAMES].sort())
})

test.each(Object.entries(NOTICE))('%s is taken by a restore that was begun without it', (key, [value, told]) => {
  const changes = changeOptions(extracted(), sampleOptions({ [key]: value }))
  expect(changes.options).toEqual(sampleOptions({ [key]: value }))
  expect(changes).toMatchObject({ taken: [{ name: key, asked: value }], refused: [], planIsVoid: false })
  expect(optionNotices(changes, [])).toEqual([`the restore resumes, now with ${told}`])
})

test.each(Object.entries(FIXED))('%s stays as soon as something was made', (key, [value, told]) => {
  const changes = changeOptions(extracted(), sampleOptions({ [key]: value }))
  expect(changes).toMatchObject({ options: sampleOptions(), taken: [], refused: [{ name: key }], planIsVoid: false })
  expect(optionNotices(changes, [])).toEqual([
    `the restore resumes with the values that it began with: ${told}; ` +
      'for a fresh start with the new values, cancel it first (Ctrl-C, or DELETE /restore)',
  ])
})

test.each(Object.entries(FIXED))(
  '%s is taken as long as nothing was made; the plan is none any more',
  (key, [value]) => {
    const changes = changeOptions(planned(), sampleOptions({ [key]: value }))
    expect(changes).toMatchObject({
      options: sampleOptions({ [key]: value }),
      taken: [{ name: key }],
      planIsVoid: true,
    })
    const unplanned = changeOptions(sampleState(), sampleOptions({ [key]: value }))
    expect(unplanned).toMatchObject({ taken: [{ name: key }], planIsVoid: false })
  },
)

test('how a call shows the restore is nobody to be told; nothing else differs where the call is the same', () => {
  const changes = changeOptions(extracted(), sampleOptions(CALL))
  expect(changes).toMatchObject({ options: sampleOptions(CALL), taken: [], refused: [] })
  expect(optionNotices(changes, [])).toEqual([])
})

test('what makes it the same restore is as it was found', () => {
  const asked = sampleOptions({ stateDir: '/by/another/name', sources: refs('/other'), datadir: '/other' })
  expect(changeOptions(planned(), asked)).toMatchObject({ options: sampleOptions(), taken: [], refused: [] })
})

describe('what is live in general, and not now', () => {
  test('a start check whose server runs', () => {
    const found = extracted({
      options: sampleOptions({ startCheck: true }),
      tools: [sampleTool({ id: '1-start_check-1-mariadbd', run: runOf('1-start_check') })],
    })
    expect(changeOptions(found, sampleOptions())).toMatchObject({ taken: [], refused: [{ name: 'startCheck' }] })
  })

  test('older backups, where they move the one that was gone back to', () => {
    const found = extracted({ backupIndex: 1, options: sampleOptions({ olderBackups: [refs('/b/1'), refs('/b/2')] }) })
    const asked = (...names: string[]) =>
      changeOptions(found, sampleOptions({ olderBackups: names.map(name => refs(name)) }))
    expect(asked('/b/1').options.olderBackups).toEqual([refs('/b/1')])
    expect(asked('/b/0', '/b/1')).toMatchObject({ taken: [], refused: [{ name: 'olderBackups' }] })
  })
})

describe('a deadline', () => {
  const begun = extracted({
    options: sampleOptions({ deadlineMs: T0 + 6 * HOUR_MS - 3, deadlineAfterMs: 6 * HOUR_MS }),
  })
  const again = (hours: number) =>
    changeOptions(begun, sampleOptions({ deadlineMs: T0 + 99 * HOUR_MS, deadlineAfterMs: hours * HOUR_MS }))

  test('that was given as the same duration stays where it was, however late the call', () => {
    expect(again(6)).toMatchObject({ options: begun.options, taken: [] })
  })

  test('as another duration counts from the beginning of the restore', () => {
    expect(again(8)).toMatchObject({ options: { deadlineMs: T0 + 8 * HOUR_MS, deadlineAfterMs: 8 * HOUR_MS } })
    expect(again(8).taken).toMatchObject([{ name: 'deadlineMs' }])
  })
})

test('thresholds in another order are the same', () => {
  const found = extracted({ options: sampleOptions({ stallThresholds: { flush: 1, redo_scan: 2 } }) })
  const asked = sampleOptions({ stallThresholds: { redo_scan: 2, flush: 1 } })
  expect(changeOptions(found, asked)).toMatchObject({ taken: [], refused: [] })
})

test('tools that go on keep what they were started with, and that is said where it matters', () => {
  const withTool = (changes: Partial<RestoreOptions>) =>
    optionNotices(changeOptions(extracted(), sampleOptions(changes)), ['mariadb-backup'])
  expect(withTool({ memory: 3 * 1024 ** 2 + 1 })).toEqual([
    'the restore resumes, now with use_memory 3145729 (was auto); running tools (mariadb-backup) keep the values that they were started with',
  ])
  expect(withTool({ retries: 1 })).toEqual(['the restore resumes, now with retries 1 (was 3)'])
})
