import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { missingMetadata, parseMetadata } from '../../src/backup/metadata.ts'
import { createStreamScan } from '../../src/backup/stream-scan.ts'
import { parseChunkHeader } from '../../src/backup/xbstream-chunk.ts'
import { readStreamHead } from '../../src/backup/xbstream-head.ts'
import { thrownBy } from '../support/thrown-by.ts'
import {
  backupFiles,
  backupStream,
  end,
  file,
  payload,
  remove,
  rename,
  seek,
  sparse,
  unknownChunk,
} from './xbstream-bytes.ts'

function scanOf(bytes: Buffer, pieceBytes = 65_536) {
  const scan = createStreamScan('s')
  for (let at = 0; at < bytes.length; at += pieceBytes) scan.push(bytes.subarray(at, at + pieceBytes))
  scan.end()
  return scan.result()
}
const headerOf = (bytes: Buffer) => {
  const parsed = parseChunkHeader(bytes)
  if (parsed.kind !== 'chunk') throw new Error(parsed.kind)
  return parsed.header
}

describe('parseChunkHeader', () => {
  test('every type of chunk', () => {
    expect(headerOf(payload('a/b.ibd', 'xyz', { offset: 7 }))).toMatchObject({
      type: 'payload',
      path: 'a/b.ibd',
      headerBytes: 14 + 7 + 20,
      payloadBytes: 3,
      offset: 7,
    })
    const map = [
      [0, 2],
      [4, 1],
    ] as const
    expect(headerOf(sparse('a', map, Buffer.from('xyz')))).toMatchObject({
      type: 'sparse',
      mapBytes: 16,
      payloadBytes: 3,
    })
    expect(headerOf(end('a'))).toMatchObject({ type: 'end', path: 'a', headerBytes: 15 })
    expect(headerOf(remove('a'))).toMatchObject({ type: 'remove' })
    expect(headerOf(rename('a', 'bc'))).toMatchObject({ type: 'rename', newPath: 'bc', headerBytes: 21 })
    expect(headerOf(Buffer.concat([seek('a', 99), end('a')]))).toMatchObject({
      type: 'seek',
      offset: 99,
      headerBytes: 23,
    })
    expect(parseChunkHeader(seek('a', 99))).toEqual({ kind: 'more' })
    expect(headerOf(unknownChunk('Q', 'a', 1, Buffer.from('x')))).toMatchObject({ type: 'ignorable', payloadBytes: 1 })
  })

  test('what is no chunk', () => {
    expect(parseChunkHeader(Buffer.from('XBSTCK02'))).toEqual({ kind: 'bad', reason: 'wrong chunk magic' })
    expect(parseChunkHeader(unknownChunk('Q', 'a', 0, Buffer.alloc(1)))).toMatchObject({ kind: 'bad' })
    expect(parseChunkHeader(payload('p'.repeat(512), 'x'))).toMatchObject({ kind: 'bad' })
    expect(parseChunkHeader(payload('p'.repeat(511), 'x'))).toMatchObject({ kind: 'chunk' })
  })

  test('asks for more until the header is whole, at every length', () => {
    for (const bytes of [payload('abc', ''), sparse('abc', [], Buffer.alloc(0)), end('abc'), rename('abc', 'd')]) {
      const whole = headerOf(bytes).headerBytes
      for (let length = 0; length < whole; length++) {
        expect(parseChunkHeader(bytes.subarray(0, length))).toEqual({ kind: 'more' })
      }
    }
  })
})

describe('createStreamScan', () => {
  test('finds files, bytes, names and metadata', () => {
    const { names, files, payloadBytes, metadata } = scanOf(backupStream())
    expect(files).toBe(9)
    expect(payloadBytes).toBe(backupFiles().reduce((sum, [, data]) => sum + data.length, 0))
    expect(names).toMatchObject({
      innerCompression: null,
      innerEncryption: false,
      kind: 'full',
      family: 'mariadb-backup',
    })
    expect(missingMetadata(metadata.keys(), 's')).toBeNull()
    const texts = new Map([...metadata].map(([path, bytes]) => [path, bytes.toString()]))
    expect(parseMetadata(texts, 's')).toMatchObject({ checkpoints: { lastLsn: 4033961 }, binlog: { gtid: '0-1-17' } })
  })

  test('metadata in several chunks is put together', () => {
    const { metadata } = scanOf(file('xtrabackup_info', 'tool_name = xtrabackup\n', 5))
    expect(metadata.get('xtrabackup_info')!.toString()).toBe('tool_name = xtrabackup\n')
  })

  test('sparse, seek, remove, rename, ignorable and rewritten files', () => {
    const bytes = Buffer.concat([
      sparse(
        's.ibd',
        [
          [0, 3],
          [8, 1],
        ],
        Buffer.from('abcd'),
      ),
      end('s.ibd'),
      payload('t.ibd', 'x'),
      seek('t.ibd', 100),
      rename('t.ibd', 'u.ibd'),
      payload('u.ibd', 'y', { flags: 2 }),
      end('u.ibd'),
      file('v.ibd', 'z'),
      remove('v.ibd'),
      unknownChunk('Q', 'q', 1, Buffer.from('ignored')),
    ])
    expect(scanOf(bytes)).toMatchObject({ files: 2, payloadBytes: 7 })
  })

  test('how the stream is cut into pieces makes no difference', () => {
    const bytes = Buffer.concat([
      backupStream({ data: Buffer.alloc(3000, 5) }),
      payload('x', 'y'),
      seek('x', 5),
      end('x'),
    ])
    const whole = scanOf(bytes, bytes.length)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1 }), sizes => {
        const scan = createStreamScan('s')
        for (let at = 0, round = 0; at < bytes.length; round++) {
          const size = sizes[round % sizes.length]!
          scan.push(bytes.subarray(at, at + size))
          at += size
        }
        scan.end()
        expect(scan.result()).toEqual(whole)
      }),
      { numRuns: 50 },
    )
    expect(scanOf(bytes, 1)).toEqual(whole)
  })

  test('a stream cut anywhere is truncated, or lacks metadata, and is never whole', () => {
    const bytes = backupStream({ data: Buffer.alloc(500, 3) })
    for (let length = 0; length < bytes.length; length++) {
      const scan = createStreamScan('s')
      scan.push(bytes.subarray(0, length))
      let code: string | undefined
      try {
        scan.end()
        code = missingMetadata(scan.result().metadata.keys(), 's')?.code
      } catch (thrown) {
        code = (thrown as { code: string }).code
      }
      expect(['source_truncated', 'backup_incomplete']).toContain(code)
    }
  })

  test('any one flipped byte of payload or checksum is noticed', () => {
    const bytes = Buffer.concat([payload('f', Buffer.alloc(100, 1)), end('f')])
    fc.assert(
      fc.property(
        fc.integer({ min: 14 + 1 + 16, max: 14 + 1 + 20 + 99 }),
        fc.integer({ min: 1, max: 255 }),
        (at, mask) => {
          const flipped = Buffer.from(bytes)
          flipped[at]! ^= mask
          const error = thrownBy(() => scanOf(flipped))
          expect([error.code, error.message]).toEqual(['source_corrupt', 's: wrong checksum of a chunk of f at byte 0'])
        },
      ),
    )
  })

  test('a flipped magic is corrupt and has its place', () => {
    const first = file('a', 'b')
    const flipped = Buffer.concat([first, Buffer.from('XBSTCKxx'), Buffer.alloc(100)])
    expect(thrownBy(() => scanOf(flipped)).message).toBe(`s: wrong chunk magic at byte ${first.length}`)
  })
})

describe('readStreamHead', () => {
  test('xtrabackup, compressed and encrypted', () => {
    const { files, names } = readStreamHead(
      Buffer.concat([file('ibdata1.zst.xbcrypt', 'x'), file('xtrabackup_logfile.zst.xbcrypt', 'x')]),
    )
    expect(files).toEqual(['ibdata1.zst.xbcrypt', 'xtrabackup_logfile.zst.xbcrypt'])
    expect(names).toMatchObject({ innerCompression: 'zst', innerEncryption: true, kind: 'full', family: 'xtrabackup' })
  })

  test.each([
    ['a.ibd.meta', { kind: 'incremental' }],
    ['a.ibd.delta.qp', { kind: 'incremental', innerCompression: 'qp' }],
    ['a.frm', { kind: null, family: null }],
    ['mariadb_backup_info', { family: 'mariadb-backup' }],
    ['db/t_1.sdi.lz4', { family: 'xtrabackup', innerCompression: 'lz4' }],
  ])('%s', (path, expected) => {
    expect(readStreamHead(file(path, 'x')).names).toMatchObject(expected)
  })

  test('the name counts also where the data is cut off; noise gives nothing', () => {
    expect(readStreamHead(file('big.ibd', Buffer.alloc(5000)).subarray(0, 100)).files).toEqual(['big.ibd'])
    expect(readStreamHead(Buffer.alloc(100, 9)).files).toEqual([])
  })
})
