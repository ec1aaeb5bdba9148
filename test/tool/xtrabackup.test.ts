import { describe, expect, test } from 'vitest'
import { toolFamily } from '../../src/tool/families.ts'
import type { InnerSuffix } from '../../src/tool/tool.ts'

const xtrabackup = toolFamily('xtrabackup')
const stream = (toolVersion: string | null, innerSuffixes: InnerSuffix[]) => ({
  extractor: 'xbstream',
  program: 'xtrabackup',
  toolVersion,
  directory: '/t',
  parallel: 2,
  innerSuffixes,
  key: innerSuffixes.includes('.xbcrypt') ? ({ keyFile: '/k', algorithm: 'AES256' } as const) : null,
})
const prepare = { program: 'xtrabackup', targetDir: '/t', memoryBytes: 1024, incrementalDir: null, isLast: true }

describe('files compressed inside the stream', () => {
  test.each<[string | null, InnerSuffix[], 'xbstream' | 'xtrabackup' | 'nobody']>([
    ['8.0.35-31', [], 'nobody'],
    ['8.0.35-31', ['.xbcrypt'], 'nobody'],
    ['8.0.35-31', ['.zst'], 'xbstream'],
    ['8.0.35-31', ['.zst', '.lz4', '.qp'], 'xbstream'],
    ['8.0.30-23', ['.zst'], 'xbstream'],
    ['8.0.29-22', ['.zst'], 'xtrabackup'],
    ['8.0.29-22', ['.lz4', '.zst'], 'xtrabackup'],
    ['8.0.5', ['.qp'], 'xbstream'],
    ['8.0.4', ['.qp'], 'xtrabackup'],
    ['2.4.29', ['.qp'], 'xtrabackup'],
    ['9.1.0-1', ['.zst'], 'xbstream'],
    [null, ['.zst'], 'xtrabackup'],
  ])('%s %j are decompressed by %s', (version, suffixes, by) => {
    const options = stream(version, suffixes)
    expect(xtrabackup.extract(options).args.includes('--decompress')).toBe(by === 'xbstream')
    expect(xtrabackup.extract(options).args.includes('--decompress-threads=2')).toBe(by === 'xbstream')
    expect(xtrabackup.decompress(options)?.args ?? null).toEqual(
      by === 'xtrabackup'
        ? ['--no-defaults', '--decompress', '--remove-original', '--parallel=2', '--target-dir=/t']
        : null,
    )
  })

  test('decryption comes from a key file', () => {
    expect(xtrabackup.extract(stream('8.0.35-31', ['.zst', '.xbcrypt']))).toEqual({
      file: 'xbstream',
      args: [
        '-x',
        '-C',
        '/t',
        '--parallel=2',
        '--decrypt=AES256',
        '--encrypt-key-file=/k',
        '--encrypt-threads=2',
        '--decompress',
        '--decompress-threads=2',
      ],
    })
  })
})

describe('prepare', () => {
  test('prepared XA transactions are rolled back where that is asked for, with the last element alone', () => {
    const args = (isLast: boolean, rollbackPreparedTrx: boolean) =>
      xtrabackup.prepare({ ...prepare, toolVersion: '8.0.35-31', parallel: 1, isLast, rollbackPreparedTrx }).args
    expect(args(true, true)).toContain('--rollback-prepared-trx')
    expect(args(false, true)).not.toContain('--rollback-prepared-trx')
    expect(args(true, false)).not.toContain('--rollback-prepared-trx')
  })

  test('only the last element of a chain rolls back', () => {
    expect(xtrabackup.prepare({ ...prepare, toolVersion: '8.0.35-31', parallel: 1, isLast: false }).args).toEqual([
      '--prepare',
      '--apply-log-only',
      '--target-dir=/t',
      '--use-memory=1024',
    ])
    expect(
      xtrabackup.prepare({ ...prepare, toolVersion: '8.0.35-31', parallel: 1, incrementalDir: '/i' }).args,
    ).toEqual(['--prepare', '--target-dir=/t', '--incremental-dir=/i', '--use-memory=1024'])
  })

  test.each([
    ['2.4.29', false],
    ['8.0.35-32', false],
    ['8.0.35-33', true],
    ['8.0.36-1', true],
    ['8.1.0-1', false],
    ['8.4.0-2', false],
    ['8.4.0-3', true],
    ['9.1.0-1', true],
    [null, false],
  ])('--parallel in %s: %s', (toolVersion, expected) => {
    const { args } = xtrabackup.prepare({ ...prepare, toolVersion, parallel: 4 })
    expect(args.includes('--parallel=4')).toBe(expected)
    expect(args.join(' ')).not.toContain('--use-free-memory-pct')
    // It would hide the backup's own backup-my.cnf.
    expect(args).not.toContain('--no-defaults')
  })
})

test('move-back names its only defaults file first', () => {
  expect(xtrabackup.moveBack({ program: '/x/xtrabackup', targetDir: '/t', datadir: '/d', parallel: 4 })).toEqual({
    file: '/x/xtrabackup',
    args: [
      '--defaults-file=/t/backup-my.cnf',
      '--move-back',
      '--target-dir=/t',
      '--datadir=/d',
      '--innodb-undo-directory=/d',
      '--parallel=4',
    ],
  })
})

test.each([
  ['xtrabackup version 8.0.35-31 based on MySQL server 8.0.35 Linux (x86_64) (revision id: 55ec21d7)', '8.0.35-31'],
  [
    '2024-01-19T12:23:11.3-00:00 0 [Note] recognized\n/usr/bin/xtrabackup version 2.4.15 based on MySQL server 5.7.19 Linux',
    '2.4.15',
  ],
  ['xtrabackup: not found', null],
])('the version in %j', (output, version) => expect(xtrabackup.parseVersion(output)).toBe(version))

describe('versionFits', () => {
  const verdict = (tool: string | null, server: string | null, maker: string | null = null) =>
    xtrabackup.versionFits(tool, { tool: maker, server })

  test.each([
    ['2.4.29', '5.7.44-48-log', '2.4.29'],
    ['2.4.29', '5.6.51', '2.4.20'],
    ['2.4.29', null, '2.3.10'],
    ['2.4.29', '10.1.48-MariaDB', '2.4.29'],
    ['8.0.35-31', '8.0.35', '8.0.35-31'],
    ['8.0.35-33', '8.0.22', '8.0.22-15'],
    ['8.0.35-33', '8.0.42', '8.0.35-33'],
    ['8.0.34-29', '8.0.36', '8.0.34-29'],
    ['8.4.0-3', '8.4.5', '8.4.0-3'],
    ['9.1.0-1', '9.1.0', '9.1.0-1'],
  ])('%s restores %s', (tool, server, maker) =>
    expect(verdict(tool, server, maker)).toEqual({ fits: true, warning: null }),
  )

  test.each([
    ['2.3.10', '5.6.51', 'xtrabackup 2.3.10 is not supported'],
    ['2.2.13', '5.5.62', 'xtrabackup 2.2.13 is not supported'],
    ['1.6.7', '5.1.73', 'xtrabackup 1.6.7 is not supported'],
    ['2.4.29', '8.0.35', 'needs xtrabackup 8.0'],
    ['8.0.35-31', '5.7.44', 'needs xtrabackup 2.4'],
    ['8.4.0-3', '8.0.35', 'needs xtrabackup 8.0'],
    ['8.0.35-31', '8.4.0', 'needs xtrabackup 8.4'],
    ['9.1.0-1', '9.0.1', 'needs xtrabackup 9.0'],
    ['8.0.26-18', '8.0.30', 'redo log'],
    ['8.0.33-28', '8.0.42', 'redo log'],
    ['8.0.35-31', '10.6.18-MariaDB', 'needs mariadb-backup'],
    ['8.0.35-31', '11.8.6-MariaDB', 'needs mariadb-backup'],
  ])('%s does not restore %s', (tool, server, reason) => {
    expect(verdict(tool, server)).toEqual({ fits: false, reason: expect.stringContaining(reason) })
  })

  test('an older tool than the one that made the backup', () => {
    expect(verdict('8.0.28-20', null, '8.0.35-31').fits).toBe(false)
    expect(verdict('8.0.35-30', '8.0.35', '8.0.35-33')).toEqual({
      fits: true,
      warning: expect.stringContaining('older build'),
    })
  })

  test('what is unknown fits, and is said', () => {
    expect(verdict(null, '8.0.35')).toEqual({ fits: true, warning: expect.stringContaining('unknown') })
    expect(verdict('8.0.35-31', null)).toEqual({ fits: true, warning: expect.stringContaining('does not say') })
  })
})
