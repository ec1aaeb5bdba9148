import { describe, expect, test } from 'vitest'
import { toolFamily } from '../../src/tool/families.ts'

const mariadb = toolFamily('mariadb-backup')
const prepare = {
  program: 'mariadb-backup',
  toolVersion: '10.11.19-MariaDB',
  targetDir: '/t',
  memoryBytes: 1024,
  parallel: 4,
}
const extract = { extractor: 'mbstream', toolVersion: null, directory: '/t', innerSuffixes: [], key: null }

describe('commands', () => {
  test('extract', () => {
    expect(mariadb.extract({ ...extract, parallel: 1 })).toEqual({ file: 'mbstream', args: ['-x', '-C', '/t'] })
    expect(mariadb.extract({ ...extract, parallel: 2 }).args).toEqual(['-x', '-C', '/t', '-p', '2'])
  })

  test('decompress only where there is something to decompress', () => {
    const options = { program: 'mariadb-backup', toolVersion: null, directory: '/t', parallel: 2, key: null }
    expect(mariadb.decompress({ ...options, innerSuffixes: [] })).toBeNull()
    expect(mariadb.decompress({ ...options, innerSuffixes: ['.qp'] })).toEqual({
      file: 'mariadb-backup',
      args: ['--no-defaults', '--decompress', '--remove-original', '--parallel=2', '--target-dir=/t'],
    })
  })

  test('prepare: the same for every element, there is no --apply-log-only', () => {
    expect(mariadb.prepare({ ...prepare, incrementalDir: null, isLast: false })).toEqual({
      file: 'mariadb-backup',
      args: ['--prepare', '--target-dir=/t', '--use-memory=1024'],
    })
    expect(mariadb.prepare({ ...prepare, incrementalDir: '/i', isLast: true }).args).toEqual([
      '--prepare',
      '--target-dir=/t',
      '--incremental-dir=/i',
      '--use-memory=1024',
    ])
  })

  test('move-back reads the backup’s own options and no others', () => {
    expect(mariadb.moveBack({ program: 'mariadb-backup', targetDir: '/t', datadir: '/d', parallel: 1 })).toEqual({
      file: 'mariadb-backup',
      args: [
        '--defaults-file=/t/backup-my.cnf',
        '--move-back',
        '--target-dir=/t',
        '--datadir=/d',
        '--innodb-undo-directory=/d',
      ],
    })
  })

  test('version', () => {
    expect(mariadb.version('/opt/mariabackup')).toEqual({
      file: '/opt/mariabackup',
      args: ['--no-defaults', '--version'],
    })
    expect(
      mariadb.parseVersion('mariabackup based on MariaDB server 10.11.19-MariaDB debian-linux-gnu (x86_64)\n'),
    ).toBe('10.11.19-MariaDB')
    expect(mariadb.parseVersion('command not found')).toBeNull()
  })
})

describe('versionFits', () => {
  const verdict = (tool: string | null, server: string | null, maker: string | null = null) =>
    mariadb.versionFits(tool, { tool: maker, server })

  test.each([
    ['10.11.19-MariaDB', '10.11.2-MariaDB-log'],
    ['10.11.2-MariaDB', '10.11.19-MariaDB-0+deb12u1-log'],
    ['11.8.6-MariaDB', '11.8.6-MariaDB-0+deb13u1 from Debian-log'],
    ['10.4.34-MariaDB', '10.4.1-MariaDB'],
  ])('%s restores %s', (tool, server) => expect(verdict(tool, server)).toEqual({ fits: true, warning: null }))

  test.each([
    ['11.8.6-MariaDB', '10.11.19-MariaDB'],
    ['10.11.19-MariaDB', '10.9.1-MariaDB'],
    ['10.6.1-MariaDB', '10.5.1-MariaDB'],
  ])('%s restores %s, with a warning', (tool, server) => {
    expect(verdict(tool, server)).toEqual({ fits: true, warning: expect.stringContaining('server on it') })
  })

  test.each([
    ['10.11.19-MariaDB', '11.8.6-MariaDB', 'metadata files of 11.x'],
    ['10.6.18-MariaDB', '10.11.19-MariaDB', 'older than'],
    ['11.4.1-MariaDB', '11.8.6-MariaDB', 'older than'],
    ['10.11.19-MariaDB', '10.6.18-MariaDB', 'redo log'],
    ['10.5.1-MariaDB', '10.4.1-MariaDB', 'redo log'],
    ['11.8.6-MariaDB', '8.0.35', 'needs xtrabackup'],
  ])('%s does not restore %s', (tool, server, reason) => {
    expect(verdict(tool, server)).toEqual({ fits: false, reason: expect.stringContaining(reason) })
  })

  test('the tool that made the backup stands in for an unknown server', () => {
    expect(verdict('10.11.19-MariaDB', null, '11.8.6-MariaDB').fits).toBe(false)
  })

  test('what is unknown fits, and is said', () => {
    expect(verdict(null, '10.11.19-MariaDB')).toEqual({ fits: true, warning: expect.stringContaining('unknown') })
    expect(verdict('10.11.19-MariaDB', null)).toEqual({ fits: true, warning: expect.stringContaining('does not say') })
  })
})
