import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createDeltaPairs, unpairedProblem } from '../../src/backup/delta-pairs.ts'
import { unsafePath } from '../../src/backup/stream-path.ts'
import { createStreamScan } from '../../src/backup/stream-scan.ts'
import { parseChunkHeader } from '../../src/backup/xbstream-chunk.ts'
import { readStreamHead } from '../../src/backup/xbstream-head.ts'
import { thrownBy } from '../support/thrown-by.ts'
import { end, file, payload, remove, rename, seek, sparse, unknownChunk } from './xbstream-bytes.ts'

const UNSAFE = [
  '/etc/cron.d/x',
  '../x',
  'app/../../x',
  'app/..',
  '..',
  'a\0b',
  'a\nb',
  'a\x1b[2J',
  'a\x7f',
  '',
  '/',
] as const

describe.each(UNSAFE)('a stream with the path %j', path => {
  const chunks: [string, Buffer][] = [
    ['payload', payload(path, 'x')],
    ['end', end(path)],
    ['remove', remove(path)],
    ['seek', Buffer.concat([seek(path, 5), end('a')])],
    ['rename from', rename(path, 'a')],
    ['rename to', rename('a', path)],
    ['sparse', sparse(path, [[0, 1]], Buffer.from('x'))],
    ['ignorable', unknownChunk('X', path, 1, Buffer.from('x'))],
  ]
  test.each(chunks)('in a chunk %s is refused before its bytes', (_, chunk) => {
    expect(parseChunkHeader(chunk)).toMatchObject({ kind: 'bad', unsafe: true })
    const whole = Buffer.concat([file('ok.ibd', 'data'), chunk])
    expect(readStreamHead(whole).unsafe).toMatch(/path/)
    expect(thrownBy(() => createStreamScan('s').push(whole))).toMatchObject({ code: 'source_corrupt' })
  })
})

test('a safe path stays below the directory that it is joined to; names that only look odd are safe', () => {
  for (const path of ['app/t1.ibd', './ibdata1', 'a..b/..c', 'app/@00e4.ibd', 'mit leerzeichen', 'ä', '...'])
    expect(unsafePath(path)).toBeNull()
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', '..', '.', '', '\0', 'b c', '\u0001'), { maxLength: 6 }), parts => {
      const path = parts.join('/')
      if (unsafePath(path) === null) expect(new URL(path, 'file:///target/dir/').pathname).toMatch(/^\/target\/dir\//)
    }),
  )
})

describe('an incremental', () => {
  const problemOf = (...paths: string[]) => {
    const pairs = createDeltaPairs()
    for (const path of paths) pairs.add(path)
    return unpairedProblem(pairs.result(), 'inc')
  }
  test.each([
    [['app/t.ibd.meta'], /applied it already/],
    [['app/t.ibd.meta', 'ibdata1.meta', 'ibdata1.delta'], /app\/t\.ibd\.meta without app\/t\.ibd\.delta$/],
    [['a.meta', 'b.meta', 'c.meta', 'c.delta'], /a\.meta without a\.delta, and 1 more/],
    [['app/t.ibd.meta.zst', 'u.meta', 'u.delta.zst'], /app\/t\.ibd\.meta without/],
  ])('with %j is refused', (paths, message) => {
    expect(problemOf(...paths)).toMatchObject({ code: 'backup_incomplete', message: expect.stringMatching(message) })
  })
  test.each([
    [[]],
    [['app/t.ibd']],
    [['app/t.ibd.delta', 'app/t.ibd.meta']],
    [['app/t.ibd.meta.zst.xbcrypt', 'app/t.ibd.delta.zst.xbcrypt']],
  ])('with %j is whole', paths => expect(problemOf(...paths)).toBeNull())
})
