import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { brotliCompressSync, constants, zstdDecompressSync } from 'node:zlib'
import { describe, expect, test, vi } from 'vitest'
import { NO_SETTINGS } from '../../src/source/store-settings.ts'
import { openStoredBackup } from '../../src/source/stored-backup.ts'
import { checksums, startServer } from '../integration/private-server.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import { expectFailure, expectSuccess, type Workspace, workspace } from '../integration/workspace.ts'
import { FIXTURES } from '../layout/listings.ts'
import { scratch } from '../support/scratch.ts'

/** Layouts against stores that their own tools wrote, and real backups in the layouts of others. */
vi.setConfig({ testTimeout: 120_000 })

const QUICK = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }

/** CHECKSUM TABLE of the tables that wal-g backed up, taken on the server that it backed up. */
const TRUTH = readFileSync(join(FIXTURES, 'wal-g/truth.txt'), 'utf8').trim().split('\n')

async function expectWalGTables(at: Workspace): Promise<void> {
  const server = await startServer(at.datadir)
  try {
    expect(await server.sql('checksum table d.t1, d.t2, d.t3')).toEqual(TRUTH)
  } finally {
    await server.stop()
  }
}

describe('a store that wal-g wrote', () => {
  test.each(['zstd', 'lzma', 'lz4', 'split'])('in %s is restored', async kind => {
    const at = workspace()
    expectSuccess(await at.restore([join(FIXTURES, 'wal-g', kind)], { args: ['--backup', 'latest'] }))
    await expectWalGTables(at)
  })

  test('that libsodium encrypted needs the key, and is restored with it', async () => {
    const at = workspace()
    const store = join(FIXTURES, 'wal-g-libsodium')
    const key = join(scratch(), 'key')
    const withKey = (content: string) => {
      writeFileSync(key, content)
      return { args: ['--backup', 'latest', '--decrypt-key-file', key, '--retries', '0'] }
    }
    const refused = await at.restore([store], withKey('another key of more than 25 letters'))
    expectFailure(at, refused, 'source_unknown')
    expect(refused.stderr).toContain('--decrypt-key-file holds another key')
    const hex = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n'
    expectSuccess(await at.restore([store], withKey(hex)))
    await expectWalGTables(at)
  })

  test('of stripes, packed again with brotli and in several files a part, is restored', async () => {
    const at = workspace()
    const place = scratch()
    cpSync(join(FIXTURES, 'wal-g/split'), place, { recursive: true })
    const folder = join(place, 'basebackups_005/stream_20261127T162910Z')
    for (const part of ['part_0000', 'part_0001', 'part_0002']) {
      const plain = zstdDecompressSync(readFileSync(join(folder, `${part}.zst`)))
      execFileSync('rm', [join(folder, `${part}.zst`)])
      const half = Math.floor(plain.length / 2)
      writeFileSync(join(folder, `${part}_0000.br`), brotliCompressSync(plain.subarray(0, half), QUICK))
      writeFileSync(join(folder, `${part}_0001.br`), brotliCompressSync(plain.subarray(half), QUICK))
    }
    expectSuccess(await at.restore([place], { args: ['--backup', 'latest'] }))
    await expectWalGTables(at)
  })

  test('of stripes of which one is cut ends in source_truncated or source_corrupt, and leaves nothing', async () => {
    const at = workspace()
    const place = scratch()
    cpSync(join(FIXTURES, 'wal-g/split'), place, { recursive: true })
    const part = join(place, 'basebackups_005/stream_20261127T162910Z/part_0001.zst')
    writeFileSync(part, readFileSync(part).subarray(0, 100_000))
    const ended = await at.restore([place], { args: ['--backup', 'latest', '--retries', '0'] })
    expectFailure(at, ended, 'source_truncated')
  })
})

describe('a store that xbcloud wrote', () => {
  const FULL = 'cluster1-2026-11-27-16:35:10-full'
  test.each([
    ['the full backup', FULL, 'xbcloud-full.sha256'],
    ['the incremental', `${FULL}.incr/cluster1-2026-11-27-16:40:10-incr`, 'xbcloud-inc1.sha256'],
  ])('gives %s to the extractor byte for byte', async (_, id, hashes) => {
    const dir = scratch()
    execFileSync('tar', ['-C', dir, '--zstd', '-xf', join(FIXTURES, 'xbcloud-store.tar.zst')])
    const ref = { kind: 'backup', place: { kind: 'directory', path: dir }, layout: 'xbcloud', id } as const
    const source = await openStoredBackup(ref, NO_SETTINGS)
    const target = join(dir, 'extracted')
    mkdirSync(target)
    const extractor = spawn('mbstream', ['-x', '-C', target], { stdio: ['pipe', 'ignore', 'inherit'] })
    const exited = once(extractor, 'exit')
    await pipeline(Readable.from(source.bytes(), { objectMode: false }), extractor.stdin)
    expect(await exited).toEqual([0, null])
    await source.close()
    const lines = readFileSync(join(FIXTURES, hashes), 'utf8').trimEnd().split('\n')
    for (const line of lines) {
      const [hash, path] = [line.slice(0, 64), line.slice(66)]
      expect([
        path,
        createHash('sha256')
          .update(readFileSync(join(target, path)))
          .digest('hex'),
      ]).toEqual([path, hash])
    }
    expect(execFileSync('find', [target, '-type', 'f']).toString().trimEnd().split('\n')).toHaveLength(lines.length)
    expect(source.known?.files).toBe(lines.length)
  })
})

describe('a backup of mariadb-backup', () => {
  async function expectRestored(at: Workspace): Promise<void> {
    const { checksums: truth } = await sharedBackup()
    const server = await startServer(at.datadir)
    try {
      expect(await checksums(server)).toEqual(truth.full)
    } finally {
      await server.stop()
    }
  }

  test("in mariadb-operator's layout is restored, by time and from gzip", async () => {
    const at = workspace()
    const { full } = await sharedBackup()
    const place = join(scratch(), 'prod')
    mkdirSync(place)
    symlinkSync(full.gz, join(place, 'physicalbackup-20260101030000.xb.gz'))
    writeFileSync(join(place, 'physicalbackup-20260102030000.xb'), 'not a backup')
    expectSuccess(await at.restore([place], { args: ['--before', '2026-01-02T03:00'] }))
    expect(at.state()!.options.sources).toEqual([
      { kind: 'file', path: join(place, 'physicalbackup-20260101030000.xb.gz') },
    ])
    await expectRestored(at)
  })

  test('in the plain layout, in brotli, is restored; a damaged newer one gives way to it', async () => {
    const at = workspace()
    const { full } = await sharedBackup()
    const place = scratch()
    const plain = readFileSync(full.bare)
    writeFileSync(join(place, 'db-2026-01-01T03:00:00.xb.br'), brotliCompressSync(plain, QUICK))
    plain[Math.floor(plain.length / 2)]! ^= 255
    writeFileSync(join(place, 'db-2026-01-02T03:00:00.xb.br'), brotliCompressSync(plain, QUICK))
    expectSuccess(await at.restore([place], { args: ['--backup', 'latest', '--retries', '0'] }))
    expect(at.state()).toMatchObject({ backupIndex: 1 })
    await expectRestored(at)
  })
})
