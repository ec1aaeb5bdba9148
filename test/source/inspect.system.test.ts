import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type BackupDescription, partialNotice } from '../../src/backup/backup.ts'
import { type Filters, filterHead } from '../../src/source/filter.ts'
import type { InspectOptions } from '../../src/source/findings.ts'
import { inspectSource } from '../../src/source/inspect.ts'
import { openSource } from '../../src/source/open-source.ts'
import { openStdinSource } from '../../src/source/stdin.ts'
import { NO_SETTINGS } from '../../src/source/store-settings.ts'
import { backupFiles, backupStream, CHECKPOINTS, file, INFO, payload } from '../backup/xbstream-bytes.ts'
import { descriptorsBelow, filters, gpgEncrypt, scratch } from './scratch.ts'

const at = scratch()
// Half of it compresses, so that every tool writes more than a head and less than the whole.
const DATA = Buffer.concat([randomBytes(1_000_000), Buffer.alloc(500_000, 'page')])
const STREAM = backupStream({ data: DATA })
const DATA_BYTES = backupFiles({ data: DATA }).reduce((sum, [, data]) => sum + data.length, 0)

async function inspect(path: string, options: Partial<InspectOptions> = {}): Promise<BackupDescription> {
  const source = await openSource({ kind: 'path', path }, NO_SETTINGS)
  try {
    return await inspectSource(source, { filters, keyFile: null, full: false, ...options })
  } finally {
    await source.close()
  }
}
const inspectBytes = (bytes: Buffer, options: Partial<InspectOptions> = {}): Promise<BackupDescription> => {
  writeFileSync(at('bytes'), bytes)
  return inspect(at('bytes'), options)
}
const pack = (command: string, args: string[], input: Buffer): Buffer =>
  execFileSync(command, args, { input, maxBuffer: 1 << 26, stdio: ['pipe', 'pipe', 'ignore'] })

const PACKED: Record<string, (input: Buffer) => Buffer> = {
  zstd: input => pack('zstd', ['-q', '-c'], input),
  gzip: input => pack('gzip', ['-c'], input),
  lz4: input => pack('lz4', ['-q', '-c'], input),
  bzip2: input => pack('bzip2', ['-c'], input),
  xz: input => pack('xz', ['-0', '-c'], input),
  openssl: input => pack('openssl', ['enc', '-aes-256-cbc', '-pbkdf2', '-pass', `file:${at('key')}`], input),
  gpg: input => pack('gpg', gpgEncrypt(at('key')), input),
}
beforeAll(() => {
  writeFileSync(at('key'), 'secret\n')
  writeFileSync(at('wrong-key'), 'wrong\n')
})

describe('metadata that only some backups have', () => {
  const SPECIAL: Record<string, string> = {
    xtrabackup_slave_info: "SET GLOBAL gtid_slave_pos = '0-1-17';\nCHANGE MASTER TO master_use_gtid = slave_pos;\n",
    mariadb_backup_galera_info: '6f0f901c-e766-11f1-92da-02fc00000001:1234 0-1-17\n',
    xtrabackup_info: `${INFO}\npartial = Y\n`,
    xtrabackup_checkpoints: CHECKPOINTS,
    'backup-my.cnf': '[mysqld]\n',
  }
  const expected = {
    replica: "SET GLOBAL gtid_slave_pos = '0-1-17'; CHANGE MASTER TO master_use_gtid = slave_pos;",
    galera: '6f0f901c-e766-11f1-92da-02fc00000001:1234 0-1-17',
    partial: true,
    hasMysqlSchema: false,
    problem: null,
  }

  test('in a stream', async () => {
    const files = Object.entries({ 'app/t.ibd': 'data', ...SPECIAL })
    const found = await inspectBytes(Buffer.concat(files.map(([name, text]) => file(name, text))))
    expect(found).toMatchObject(expected)
    expect(partialNotice(found)).toMatch(/partial backup.*not the mysql schema/)
  })

  test('in a directory', async () => {
    mkdirSync(at('special'))
    for (const [name, text] of Object.entries(SPECIAL)) writeFileSync(at(`special/${name}`), text)
    const found = await inspect(at('special'))
    expect(found).toMatchObject(expected)
    expect(partialNotice({ ...found, hasMysqlSchema: true })).toMatch(/partial backup: it holds only some/)
    expect(partialNotice({ ...found, partial: false })).toBeNull()
  })
})

describe('an incremental that was prepared already', () => {
  const used = { 'app/t.ibd.meta': 'page_size = 16384\n', xtrabackup_info: INFO, xtrabackup_checkpoints: CHECKPOINTS }
  const files = { ...used, 'backup-my.cnf': '[mysqld]\n' }
  test('is refused as a stream and as a directory', async () => {
    const stream = Buffer.concat(Object.entries(files).map(([name, text]) => file(name, text)))
    expect((await inspectBytes(stream)).problem).toMatchObject({ code: 'backup_incomplete' })
    mkdirSync(at('used/app'), { recursive: true })
    for (const [name, text] of Object.entries(files)) writeFileSync(at(`used/${name}`), text)
    expect((await inspect(at('used'))).problem).toMatchObject({
      code: 'backup_incomplete',
      message: expect.stringMatching(/deltas? files are all gone|applied it already/),
    })
  })
})

test.each(['zstd', 'gzip', 'bare'])('a tar archive is named as one: %s', async packing => {
  const block = Buffer.alloc(10_240)
  block.write('ibdata1', 0)
  block.write('ustar', 257)
  const bytes = packing === 'bare' ? block : PACKED[packing]!(block)
  expect((await inspectBytes(bytes)).problem).toMatchObject({
    code: 'source_unknown',
    message: expect.stringContaining('a tar archive'),
    hint: expect.stringContaining('tar -x'),
  })
})

test('a path that must not be written is found in the head of a packed stream and of a pipe', async () => {
  const stream = Buffer.concat([file('a', 'x'), file('../../etc/cron.d/x', 'evil'), STREAM])
  for (const bytes of [stream, PACKED.zstd!(stream)])
    expect((await inspectBytes(bytes)).problem).toMatchObject({ code: 'source_corrupt' })
})

describe('a bare stream', () => {
  test.each([false, true])('is known whole; full: %s', async full => {
    expect(await inspectBytes(STREAM, { full })).toEqual({
      name: at('bytes'),
      family: 'mariadb-backup',
      toolVersion: '10.11.19-MariaDB',
      serverVersion: '10.11.19-MariaDB-0+deb12u1-log',
      serverUuid: null,
      backupUuid: '6f0f901c-e766-11f1-92da-02fc00000001',
      startTime: null,
      endTime: null,
      kind: 'full',
      prepared: false,
      fromLsn: 0,
      toLsn: 4031402,
      lastLsn: 4033961,
      redoMemoryBytes: null,
      redoFrames: null,
      binlog: { file: 'binlog.000001', position: 3500830, gtid: '0-1-17' },
      replica: null,
      galera: null,
      partial: null,
      hasMysqlSchema: true,
      longestNameBytes: 'xtrabackup_checkpoints'.length,
      layers: [],
      innerCompression: null,
      innerEncryption: false,
      storedBytes: STREAM.length,
      dataBytes: DATA_BYTES,
      files: 9,
      complete: true,
      problem: null,
    })
  })

  test('tells its progress up to its size', async () => {
    const seen: number[] = []
    await inspectBytes(STREAM, { onProgress: doneBytes => seen.push(doneBytes) })
    expect(seen.at(-1)).toBe(STREAM.length)
    expect(seen).toEqual(seen.toSorted((a, b) => a - b))
  })

  test.each([
    ['nothing', Buffer.alloc(0), 'source_empty', 'holds no bytes'],
    ['noise', Buffer.from('no backup at all, just a text'), 'source_unknown', 'of no known format'],
    ['cut inside a chunk', STREAM.subarray(0, STREAM.length >> 1), 'source_truncated', 'inside a chunk of ibdata1'],
    ['cut inside a header', STREAM.subarray(0, STREAM.length - 5), 'source_truncated', 'inside a chunk header'],
    ['cut between chunks', payload('ibdata1', 'x'), 'source_truncated', 'before ibdata1 is whole'],
    ['cut between files', file('ibdata1', 'x'), 'backup_incomplete', 'has no xtrabackup_checkpoints'],
    ['a flipped magic', flipAt(STREAM, STREAM.lastIndexOf('XBSTCK01')), 'source_corrupt', 'wrong chunk magic at byte'],
    [
      'broken metadata',
      backupStream({ checkpoints: 'from_lsn = x\n' }),
      'backup_incomplete',
      'ends without backup_type',
    ],
  ])('%s is a problem, with or without reading all', async (_name, bytes, code, message) => {
    for (const full of [false, true]) {
      const { complete, problem } = await inspectBytes(bytes, { full })
      expect([complete, problem?.code]).toEqual([code === 'source_unknown' ? null : false, code])
      expect(problem?.message).toContain(message)
      expect(problem?.message).toContain(at('bytes'))
    }
  })

  test('a flipped byte of data is found by reading all, and only so', async () => {
    const flipped = flipAt(STREAM, 1000)
    expect(await inspectBytes(flipped)).toMatchObject({ complete: true })
    expect(await inspectBytes(flipped, { full: true })).toMatchObject({ problem: { code: 'source_corrupt' } })
  })

  test('an xtrabackup incremental, compressed file by file', async () => {
    const info = `tool_name = xtrabackup\ntool_version = 8.4.0-6\nuncompressed_backup_size = 88689148\n`
    const checkpoints = CHECKPOINTS.replace('full-backuped', 'incremental').replace('from_lsn = 0', 'from_lsn = 77')
    const bytes = Buffer.concat([
      file('ibdata1.meta.zst', PACKED.zstd!(Buffer.from('page_size = 16384\n'))),
      file('ibdata1.delta.zst', PACKED.zstd!(Buffer.alloc(16_384))),
      file('xtrabackup_logfile.zst', PACKED.zstd!(Buffer.alloc(2560))),
      file('xtrabackup_checkpoints', checkpoints),
      file('backup-my.cnf.zst', PACKED.zstd!(Buffer.from('[mysqld]\nserver_uuid=3e11fa47\n'))),
      file('xtrabackup_info.zst', PACKED.zstd!(Buffer.from(info))),
    ])
    expect(await inspectBytes(bytes)).toMatchObject({
      family: 'xtrabackup',
      toolVersion: '8.4.0-6',
      serverUuid: '3e11fa47',
      kind: 'incremental',
      fromLsn: 77,
      innerCompression: 'zst',
      dataBytes: 88689148,
      complete: true,
    })
  })
})

describe.each(Object.entries(PACKED))('a stream in %s', (format, packed) => {
  const keyFile = format === 'gpg' || format === 'openssl' ? at('key') : null

  test('is known by its head, and whole when all is read', async () => {
    const bytes = packed(STREAM)
    const head = await inspectBytes(bytes, { keyFile })
    expect(head).toMatchObject({
      layers: [format],
      family: 'mariadb-backup',
      kind: 'full',
      lastLsn: null,
      complete: null,
    })
    const whole = await inspectBytes(bytes, { keyFile, full: true })
    expect(whole).toMatchObject({ layers: [format], lastLsn: 4033961, dataBytes: DATA_BYTES, files: 9, complete: true })
    expect(whole.problem).toBeNull()
  })

  test('cut short is truncated, wherever the cut', async () => {
    const bytes = packed(STREAM)
    for (const length of [bytes.length - 1, bytes.length >> 1, 600_000]) {
      const { complete, problem } = await inspectBytes(bytes.subarray(0, length), { keyFile, full: true })
      expect([complete, problem?.code]).toEqual([false, expect.stringMatching(/source_(truncated|corrupt)/)])
    }
  })

  test('around something else is unknown', async () => {
    const { problem } = await inspectBytes(packed(Buffer.alloc(100_000, 'no xbstream ')), { keyFile })
    expect(problem?.code).toBe(format === 'openssl' ? 'wrong_key' : 'source_unknown')
  })

  test('when its command is not installed, that is said', async () => {
    const none: Filters = () => ({ file: 'no-such-command', args: [] })
    await expect(inspectBytes(packed(STREAM), { keyFile, filters: none })).rejects.toMatchObject({
      code: 'tool_missing',
    })
    const later: Filters = (...args) => (calls++ === 0 ? filters(...args) : none(...args))
    let calls = 0
    const whole = inspectBytes(packed(STREAM), { keyFile, filters: later, full: true })
    await expect(whole).rejects.toMatchObject({ code: 'tool_missing' })
  })
})

describe('layers', () => {
  test('one in another, without leaving a process or a descriptor', async () => {
    const before = descriptorsBelow(at('.'))
    const bytes = PACKED.gpg!(PACKED.zstd!(STREAM))
    const options = { keyFile: at('key'), full: true }
    expect(await inspectBytes(bytes, options)).toMatchObject({ layers: ['gpg', 'zstd'], complete: true, files: 9 })
    const cut = PACKED.gpg!(PACKED.zstd!(STREAM).subarray(0, 900_000))
    expect(await inspectBytes(cut, options)).toMatchObject({
      complete: false,
      problem: { code: expect.stringMatching(/source_(truncated|corrupt)/) },
    })
    expect(descriptorsBelow(at('.'))).toBe(before)
    expect(readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim()).toBe('')
  })

  test('more than four are refused', async () => {
    const gz = PACKED.gzip!
    const { problem } = await inspectBytes(gz(gz(gz(gz(gz(Buffer.from('XBSTCK01')))))))
    expect(problem).toMatchObject({ code: 'source_unknown' })
    expect(problem?.message).toContain('more than 4 times')
  })

  test.each(['gpg', 'openssl'])('%s without a key, or with a wrong one', async format => {
    for (const bytes of [PACKED[format]!(STREAM), PACKED[format]!(PACKED.zstd!(STREAM))]) {
      const without = await inspectBytes(bytes)
      expect(without).toMatchObject({ layers: [format], complete: null, problem: { code: 'key_missing' } })
      const wrong = await inspectBytes(bytes, { keyFile: at('wrong-key') })
      expect(wrong).toMatchObject({ layers: [format], complete: null, problem: { code: 'wrong_key' } })
    }
  })

  test.each([
    ['a cipher that does not exist', 'openssl', ['enc', '-d', '-aes256cbc', '-pass', 'pass:x'], 'config_invalid'],
    ['a key file that is gone', 'openssl', ['enc', '-d', '-aes-256-cbc', '-pass', `file:${at('none')}`], 'key_missing'],
    ['a limit on memory', 'xz', ['-dc', '--memlimit-decompress=100KiB'], 'memory'],
  ] as const)('%s is not the fault of the backup', async (_name, format, args, code) => {
    for (const full of [false, true]) {
      const { problem } = await inspectBytes(PACKED[format]!(STREAM), {
        full,
        keyFile: at('key'),
        filters: () => ({ file: format, args }),
      })
      expect(problem).toMatchObject({ code, hint: expect.not.stringContaining('bytes') })
      expect(problem?.lastWords).not.toEqual([])
    }
  })

  test('nor is a filter that hangs or is killed', async () => {
    const sh = (script: string) => filterHead({ file: 'sh', args: ['-c', script] }, STREAM, 1000, 200)
    await expect(sh('exec sleep 60')).rejects.toMatchObject({ code: 'source_unreadable' })
    await expect(sh('kill -KILL $$')).rejects.toMatchObject({ code: 'tool_killed' })
    expect((await sh('echo some; exec sleep 60')).output.toString()).toBe('some\n')
  })

  test('filters speak English, whatever the language of the user', async () => {
    vi.stubEnv('LC_ALL', 'de_DE.UTF-8')
    onTestFinished(() => void vi.unstubAllEnvs())
    let calls = 0
    const language = { file: 'sh', args: ['-c', 'cat >/dev/null; echo "$LC_ALL" >&2; exit 1'] }
    expect((await filterHead(language, Buffer.from('x'), 1000)).stderr).toBe('C\n')
    const { problem } = await inspectBytes(PACKED.gzip!(STREAM), {
      full: true,
      filters: (...args) => (calls++ === 0 ? filters(...args) : language),
    })
    expect(problem?.lastWords).toEqual(['C'])
  })

  test('zstd and gzip tell the size where they can', async () => {
    writeFileSync(at('s'), STREAM)
    execFileSync('zstd', ['-q', '-f', at('s'), '-o', at('s.zst')])
    expect((await inspect(at('s.zst'))).dataBytes).toBe(STREAM.length)
    expect((await inspectBytes(PACKED.zstd!(STREAM))).dataBytes).toBeNull()
    expect((await inspectBytes(PACKED.gzip!(STREAM))).dataBytes).toBe(STREAM.length)
  })

  test('a frame whose first block is larger than a small head is still known', async () => {
    const bytes = pack('lz4', ['-q', '-B7', '-c'], backupStream({ data: randomBytes(5_000_000) }))
    expect(await inspectBytes(bytes)).toMatchObject({ layers: ['lz4'], family: 'mariadb-backup', problem: null })
  })
})

describe('other sources', () => {
  test('redirected standard input is read as a file', async () => {
    writeFileSync(at('in'), STREAM)
    const source = openStdinSource(openSync(at('in'), 'r'))
    expect(await inspectSource(source, { filters, keyFile: null, full: false })).toMatchObject({
      name: '-',
      complete: true,
    })
  })

  const directory = (name: string, files: [string, Buffer | string][]): string => {
    for (const [path, data] of files) {
      mkdirSync(dirname(`${at(name)}/${path}`), { recursive: true })
      writeFileSync(`${at(name)}/${path}`, data)
    }
    return at(name)
  }

  test('a directory, extracted and prepared', async () => {
    const extracted = await inspect(directory('extracted', backupFiles({ data: DATA })))
    expect(extracted).toMatchObject({
      family: 'mariadb-backup',
      prepared: false,
      files: 9,
      complete: true,
      kind: 'full',
    })
    expect(extracted.storedBytes).toBe(DATA_BYTES)
    expect(extracted.dataBytes).toBeGreaterThanOrEqual(DATA_BYTES)
    const applied = CHECKPOINTS.replace('full-backuped', 'log-applied')
    expect(await inspect(directory('prepared', backupFiles({ checkpoints: applied })))).toMatchObject({
      prepared: true,
    })
    const info = INFO.replaceAll('mariadb-backup', 'xtrabackup').replaceAll('-MariaDB', '')
    const half = directory('half', backupFiles({ checkpoints: applied, info }).slice(5))
    expect(await inspect(half)).toMatchObject({ family: 'xtrabackup', prepared: false })
  })

  test('a directory that is none', async () => {
    mkdirSync(at('empty'))
    expect(await inspect(at('empty'))).toMatchObject({ problem: { code: 'source_empty' } })
    const other = directory('other', [['readme.txt', 'x']])
    expect(await inspect(other)).toMatchObject({ problem: { code: 'source_unknown' } })
    const cut = directory('cut', [
      ['backup-my.cnf', ''],
      ['ibdata1', 'x'],
    ])
    expect(await inspect(cut)).toMatchObject({ complete: false, problem: { code: 'backup_incomplete' } })
  })
})

function flipAt(bytes: Buffer, position: number): Buffer {
  const flipped = Buffer.from(bytes)
  flipped[position]! ^= 0x20
  return flipped
}
