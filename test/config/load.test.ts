import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadRestoreOptions, parseConfig, type RestoreFlags } from '../../src/config/load.ts'
import { RESTORE_KEYS } from '../../src/config/options.ts'
import { RestoreError } from '../../src/errors.ts'
import { SOURCE_FORMS } from '../../src/source/source-ref.ts'
import { refs } from '../support/source-refs.ts'

const surroundings = { cwd: '/home/dba', env: { HOME: '/home/dba' }, isRoot: false, nowMs: 1_000_000 }
const load = (flags: RestoreFlags, file: string | null = null, around: Partial<typeof surroundings> = {}) =>
  loadRestoreOptions(flags, file, { ...surroundings, ...around })

function problemsOf(text: string): readonly string[] {
  try {
    parseConfig(text, 'restore.yaml')
  } catch (error) {
    if (!(error instanceof RestoreError)) throw error
    expect(error.code).toBe('config_invalid')
    return error.lastWords.length > 0 ? error.lastWords : [error.message]
  }
  return []
}

async function refused(promise: Promise<unknown>): Promise<RestoreError> {
  const error = await promise.then(
    () => new Error('it was accepted'),
    thrown => thrown,
  )
  expect(error).toBeInstanceOf(RestoreError)
  return error
}

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'config-'))
})
afterAll(() => rm(dir, { recursive: true }))

const FULL = `
source: [full.xbstream.zst, /b/inc1.xbstream]
backup: latest
before: 2026-11-23T06:00:00
layout: xbcloud
datadir: ../mysql
target_dir: /t
state_dir: state
tool: xtrabackup
tool_path: /opt/xtrabackup
tool_paths: /opt/percona
use_memory: 4G
parallel: 8
decrypt_key_file: key
encryption_key_file: tables.key
rollback_prepared_trx: true
openssl_cipher: aes-128-cbc
owner: mysql:mysql
start_check: true
in_place: false
binlogs: binlogs
to_time: 2026-11-27T13:59:07Z
binlog_server_id: 7
allow_earlier: true
allow_outside: true
run_tools_as: agent
dry_run: true
json: true
quiet: true
color: false
deadline: 6h
stall_timeout: 1h30m
stall_action: fail
stall_thresholds:
  redo_scan: 10m
  default: 90s
older_backups:
  - older.xb
  - [oldest.xb, /b/oldest-inc.xb]
retries: 5
retry_delay: 1m
state_wait: 5m
prefetch: off
max_bandwidth: 50M
disk_reserve: 0
s3_endpoint: https://s3.example.com
s3_region: eu-west-1
s3_addressing: virtual
s3_requester_pays: true
s3_sse_key_file: sse.key
`

describe('a whole file', () => {
  test('every key arrives, typed, with paths relative to the file', async () => {
    const file = join(dir, 'full.yaml')
    await writeFile(file, FULL)
    expect(await load({}, file)).toEqual({
      sources: refs(join(dir, 'full.xbstream.zst'), '/b/inc1.xbstream'),
      backup: 'latest',
      beforeMs: Date.UTC(2026, 10, 23, 6),
      layout: 'xbcloud',
      datadir: join(dir, '..', 'mysql'),
      targetDir: '/t',
      stateDir: join(dir, 'state'),
      tool: 'xtrabackup',
      toolPath: '/opt/xtrabackup',
      memory: 4 * 1024 ** 3,
      parallel: 8,
      decryptKeyFile: join(dir, 'key'),
      encryptionKeyFile: join(dir, 'tables.key'),
      rollbackPreparedTrx: true,
      opensslCipher: 'aes-128-cbc',
      owner: { user: 'mysql', group: 'mysql' },
      startCheck: true,
      inPlace: false,
      binlogs: { kind: 'path', path: join(dir, 'binlogs') },
      toTime: Date.UTC(2026, 10, 27, 13, 59, 7),
      toGtid: null,
      toPosition: null,
      toEnd: false,
      binlogServerId: 7,
      allowEarlier: true,
      toolPaths: ['/opt/percona'],
      allowOutside: true,
      runToolsAs: 'agent',
      dryRun: true,
      json: true,
      quiet: true,
      color: false,
      deadlineMs: 1_000_000 + 6 * 3_600_000,
      deadlineAfterMs: 6 * 3_600_000,
      stallTimeoutMs: 5_400_000,
      stallAction: 'fail',
      stallThresholds: { redo_scan: 600_000, default: 90_000 },
      olderBackups: [refs(join(dir, 'older.xb')), refs(join(dir, 'oldest.xb'), '/b/oldest-inc.xb')],
      retries: 5,
      retryDelayMs: 60_000,
      stateWaitMs: 300_000,
      prefetch: false,
      diskReserve: 0,
      maxBandwidth: 50 * 1024 ** 2,
      s3Endpoint: 'https://s3.example.com',
      s3Region: 'eu-west-1',
      s3Addressing: 'virtual',
      s3RequesterPays: true,
      s3SseKeyFile: join(dir, 'sse.key'),
    })
    // No key of the schema was forgotten above; a target is one of four keys.
    const wanted = RESTORE_KEYS.filter(key => !['to_gtid', 'to_position', 'to_end'].includes(key))
    expect(Object.keys(parseConfig(FULL, 'f')).sort()).toEqual(wanted.sort())
  })

  test('flags win, and their paths are relative to the working directory', async () => {
    const file = join(dir, 'flags.yaml')
    await writeFile(file, 'datadir: d\ntarget_dir: t\nuse_memory: 1G\nstart_check: true\n')
    const options = await load({ source: ['a'], datadir: 'e', use_memory: 'auto', parallel: '3' }, file)
    expect(options).toMatchObject({
      sources: refs('/home/dba/a'),
      datadir: '/home/dba/e',
      targetDir: join(dir, 't'),
      memory: 'auto',
      parallel: 3,
      startCheck: true,
    })
  })

  test('defaults', async () => {
    expect(await load({ source: '-', datadir: '/d', json: undefined })).toEqual({
      sources: refs('-'),
      backup: null,
      beforeMs: null,
      layout: null,
      datadir: '/d',
      targetDir: null,
      stateDir: '/home/dba/.local/state/restore-agent',
      tool: 'auto',
      toolPath: null,
      memory: 'auto',
      parallel: null,
      decryptKeyFile: null,
      encryptionKeyFile: null,
      rollbackPreparedTrx: false,
      opensslCipher: 'aes-256-cbc',
      owner: null,
      startCheck: false,
      inPlace: false,
      binlogs: null,
      toTime: null,
      toGtid: null,
      toPosition: null,
      toEnd: false,
      binlogServerId: null,
      allowEarlier: false,
      toolPaths: [],
      allowOutside: false,
      runToolsAs: 'owner',
      dryRun: false,
      json: false,
      quiet: false,
      color: true,
      deadlineMs: null,
      deadlineAfterMs: null,
      stallTimeoutMs: null,
      stallAction: 'warn',
      stallThresholds: {},
      olderBackups: [],
      retries: 3,
      retryDelayMs: 5000,
      stateWaitMs: 600_000,
      prefetch: true,
      diskReserve: null,
      maxBandwidth: null,
      s3Endpoint: null,
      s3Region: null,
      s3Addressing: 'auto',
      s3RequesterPays: false,
      s3SseKeyFile: null,
    })
  })

  test('one target, and only with binlogs; one on the command line overrides that of the file', async () => {
    const base = { source: '-', datadir: '/d' }
    await expect(load({ ...base, to_time: '2026-11-27' })).rejects.toMatchObject({
      code: 'usage',
      message: '--to-time needs --binlogs',
    })
    const two = load({ ...base, binlogs: '/b', to_gtid: '0-1-7', to_end: true })
    await expect(two).rejects.toMatchObject({ code: 'usage', message: '--to-gtid and --to-end exclude each other' })
    await expect(load({ ...base, binlogs: '-' })).rejects.toMatchObject({ code: 'usage' })
    for (const [key, wrong] of [
      ['to_time', 'noon'],
      ['to_gtid', '0-1'],
      ['to_position', 'bin.000001'],
      ['binlog_server_id', 'x'],
    ] as const)
      await expect(load({ ...base, binlogs: '/b', [key]: wrong })).rejects.toMatchObject({ code: 'usage' })
    const file = join(dir, 'target.yaml')
    await writeFile(file, 'binlogs: b\nto_time: 2026-11-27\n')
    expect(await load({ ...base, to_position: 'bin.000001:4' }, file)).toMatchObject({
      binlogs: { kind: 'path', path: join(dir, 'b') },
      toTime: null,
      toPosition: 'bin.000001:4',
    })
  })

  test.each([
    [{ isRoot: true }, '/var/lib/restore-agent'],
    [{ env: { HOME: '/h', XDG_STATE_HOME: '/x/state' } }, '/x/state/restore-agent'],
    [{ env: { HOME: '/h', XDG_STATE_HOME: 'relative' } }, '/h/.local/state/restore-agent'],
  ])('state dir of %j', async (around, expected) => {
    expect((await load({ source: 'a', datadir: 'd' }, null, around as typeof surroundings)).stateDir).toBe(expected)
  })

  test('an ISO deadline stands as it is', async () => {
    const options = await load({ source: 'a', datadir: 'd', deadline: '2026-11-24T06:00:00+02:00' })
    expect(options.deadlineMs).toBe(Date.UTC(2026, 10, 24, 4))
  })
})

describe('what is wrong in a file', () => {
  test('all of it is told, in the order of the file, with place, key and suggestion', () => {
    const text = `datadirr: /x
source:
  - a
  - 3
use_memory: 50%
use_memory: 60%
start_check: yes
owner: 'mysql:'
tool: pg_restore
stall_thresholds:
  redo-scan: 3m
  flush: 3
`
    expect(problemsOf(text)).toEqual([
      'restore.yaml:1:1 datadirr: unknown key (did you mean datadir?)',
      `restore.yaml:4:5 source.1: must be ${SOURCE_FORMS}`,
      'restore.yaml:6:1 use_memory: given twice, first at 5:1',
      'restore.yaml:6:13 use_memory: must be auto or a size such as 4G, 512M or plain bytes',
      'restore.yaml:7:14 start_check: must be true or false',
      'restore.yaml:8:8 owner: must be USER or USER:GROUP',
      'restore.yaml:9:7 tool: must be one of auto, xtrabackup, mariadb-backup',
      'restore.yaml:11:3 stall_thresholds.redo-scan: is no step or phase (did you mean redo_scan?)',
      'restore.yaml:12:10 stall_thresholds.flush: must be a duration with its unit, such as 90s, 5m or 1h30m',
    ])
  })

  test('the first is the message, with their number', () => {
    expect(() => parseConfig('a: 1\nb: 2\nc: 3\n', 'r.yaml')).toThrow(/^r\.yaml:1:1 a: unknown key \(and 2 more\)$/)
  })

  test.each([
    ['source:\n  bucket: x\n', `restore.yaml:2:3 source: must be ${SOURCE_FORMS}`],
    ['source: ftp://host/x\n', `restore.yaml:1:9 source: must be ${SOURCE_FORMS}`],
    ['source: []\n', 'restore.yaml:1:9 source: must name at least one backup'],
    ['datadir:\n', 'restore.yaml:1:9 datadir: must be a path'],
    ['datadir: ""\n', 'restore.yaml:1:10 datadir: must be a path, and is empty'],
    ['- a\n', 'restore.yaml:1:1: must be a mapping of keys to values'],
    ['hello\n', 'restore.yaml:1:1: must be a mapping of keys to values'],
    ['x: *nope\n', 'restore.yaml:1:4: an alias without its anchor'],
    ['a: !foo 3\n', 'restore.yaml:1:4: tags such as this one are not supported here'],
    ['a: 1\n---\nb: 1\n', 'restore.yaml:2:1: a second document begins here; there can be only one'],
    ['[1, 2]: 3\n', 'restore.yaml:1:1: a key must be a plain word'],
    ['"\\0": 3\n', 'restore.yaml:1:1 "\\u0000": unknown key'],
    ['__proto__: 3\n', 'restore.yaml:1:1 __proto__: unknown key'],
    ['parallel: 0\n', 'restore.yaml:1:11 parallel: must be a whole number from 1 to 1024'],
    [
      'deadline: tomorrow\n',
      'restore.yaml:1:11 deadline: must be a time such as 2026-11-23T06:00Z or a duration such as 6h',
    ],
    ['openssl_cipher: -in\n', 'restore.yaml:1:17 openssl_cipher: must be the name of a cipher, such as aes-256-cbc'],
  ])('%j', (text, expected) => {
    expect(problemsOf(text)).toContain(expected)
  })

  test('brackets without end are one problem', () => {
    expect(problemsOf('['.repeat(50_000))).toEqual([expect.stringMatching(/nested too deeply$/)])
  })

  test('an empty file asks for nothing', () => {
    expect(parseConfig('', 'f')).toEqual({})
    expect(parseConfig('# nothing\n', 'f')).toEqual({})
  })

  test('merged aliases are followed to the place of the alias', () => {
    expect(problemsOf('color: &x maybe\njson: *x\n')).toEqual([
      'restore.yaml:1:11 color: must be true or false',
      'restore.yaml:2:7 json: must be true or false',
    ])
  })
})

describe('what is wrong outside of the file', () => {
  test('a missing file, a directory, bytes that are no text', async () => {
    expect(await refused(load({}, 'none.yaml'))).toMatchObject({
      code: 'config_invalid',
      message: 'none.yaml: no such file',
    })
    expect(await refused(load({}, dir))).toMatchObject({ code: 'config_invalid', message: `${dir}: is a directory` })
    const binary = join(dir, 'binary.yaml')
    await writeFile(binary, Buffer.from([0x61, 0xff, 0xfe]))
    expect((await refused(load({}, binary))).message).toBe(`${binary}: is not UTF-8 text`)
    await writeFile(binary, Buffer.alloc(1024 * 1024 + 1, 0x20))
    expect((await refused(load({}, binary))).message).toBe(`${binary}: too large to be a configuration`)
  })

  test('bad flags: usage, named as typed, all of them', async () => {
    const error = await refused(
      load({
        source: ['a', ''],
        datadir: 'd',
        use_memory: 'lots',
        parallel: 'x',
        stall_thresholds: ['redo_scan=5', 'redo_scam=5m', 'flush'],
        stall_action: 'panic',
      }),
    )
    expect(error.code).toBe('usage')
    expect([...error.lastWords].sort()).toEqual([
      '--parallel: must be a whole number from 1 to 1024',
      '--stall-action: must be one of warn, fail',
      '--stall-threshold flush: must be a duration with its unit, such as 90s, 5m or 1h30m',
      '--stall-threshold redo_scan: must be a duration with its unit, such as 90s, 5m or 1h30m',
      '--stall-threshold: is no step or phase (did you mean redo_scan?)',
      '--use-memory: must be auto or a size such as 4G, 512M or plain bytes',
      `SOURCE: must be ${SOURCE_FORMS}, and is empty`,
    ])
  })

  test.each([
    [{}, ['SOURCE: missing; give the backup to restore', '--datadir: missing; give the directory to restore into']],
    [
      { source: 'a', datadir: 'd', in_place: true, target_dir: 't' },
      ['--in-place: the source itself becomes the target dir, so there can be no --target-dir'],
    ],
    [{ source: ['a', '-'], datadir: 'd' }, ['SOURCE: standard input (-) can only be the one and only source']],
  ])('%j', async (flags, expected) => {
    const error = await refused(load(flags as RestoreFlags))
    expect(error.code).toBe('usage')
    expect(error.lastWords.length > 0 ? error.lastWords : [error.message]).toEqual(expected)
  })

  test('what the file may give too is said', async () => {
    const file = join(dir, 'empty.yaml')
    await writeFile(file, 'source: a\n')
    expect((await refused(load({}, file))).message).toBe(
      `--datadir: missing; give the directory to restore into, or datadir in ${file}`,
    )
  })
})

describe('whatever the text', () => {
  const documents = fc.oneof(
    fc.string(),
    fc.json(),
    fc.string({ unit: fc.constantFrom(...'ab:-[]{}&*!|>\'"%@`#,?\n\t 0~<'.split('')), maxLength: 60 }),
    fc
      .dictionary(fc.constantFrom(...RESTORE_KEYS, '__proto__', 'constructor'), fc.jsonValue(), { maxKeys: 4 })
      .map(value => JSON.stringify(value)),
    fc
      .array(fc.tuple(fc.constantFrom(...RESTORE_KEYS), fc.string()), { maxLength: 4 })
      .map(pairs => pairs.map(([key, value]) => `${key}: ${value}`).join('\n')),
  )

  test('it is settings or config_invalid with a place, and never a crash', () => {
    fc.assert(
      fc.property(documents, text => {
        for (const problem of problemsOf(text)) expect(problem).toMatch(/^(restore\.yaml:\d+:\d+(:| \S)|and \d+ more$)/)
      }),
      { numRuns: 2_000 },
    )
  })

  test('a value is never repeated', () => {
    const secret = 'hunter2hunter2'
    const around = fc.string({ unit: fc.constantFrom(...'"\'[]{}&*!|>%@`,- '.split('')), maxLength: 3 })
    fc.assert(
      fc.property(fc.constantFrom(...RESTORE_KEYS), around, around, (key, before, after) => {
        // `{secret}` and `secret:` make it a key, and keys are shown.
        fc.pre(!/[{[?]/.test(before))
        for (const problem of problemsOf(`${key}: ${before}${secret}${after}\n`)) expect(problem).not.toContain(secret)
      }),
      { numRuns: 2_000 },
    )
  })
})

test('a file with 60,000 unknown keys is refused in seconds, and the first problems are told', async () => {
  const text = Array.from({ length: 60_000 }, (_, index) => `some_unknown_key_${index}: 1\n`).join('')
  const before = process.cpuUsage()
  const error = await refused(Promise.resolve().then(() => parseConfig(text, 'f')))
  const { user, system } = process.cpuUsage(before)
  expect(error).toMatchObject({ code: 'config_invalid', message: expect.stringMatching(/and 59999 more/) })
  expect(error.lastWords).toHaveLength(51)
  expect((user + system) / 1e6).toBeLessThan(20)
})

test.each(['source', 'datadir', 'state_dir', 'tool_path', 'decrypt_key_file'])(
  '%s that is not UTF-8 is refused',
  async key => {
    const flags = { source: '/b/full.xb', datadir: '/d', [key]: Buffer.from('/x/\xff', 'latin1').toString() }
    expect(await refused(load(flags))).toMatchObject({ code: 'usage', message: expect.stringContaining('UTF-8') })
  },
)

test('neither is a relative path below a working directory that is not UTF-8', async () => {
  const cwd = Buffer.from('/x\xff', 'latin1').toString()
  const error = await refused(load({ source: 'full.xb', datadir: '/d' }, null, { cwd }))
  expect(error).toMatchObject({ code: 'usage', message: expect.stringContaining('UTF-8') })
})
