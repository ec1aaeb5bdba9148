import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checksum } from '../../src/binlog/event-checksum.ts'
import { formatSet, parseSet } from '../../src/binlog/gtid.ts'
import { type BackupPosition, planRecovery } from '../../src/binlog/recovery-plan.ts'
import { readHeads, scanBinlogs } from '../../src/binlog/scan.ts'
import { formatTarget, parseTarget, type RecoveryTarget } from '../../src/binlog/target.ts'
import { parseTime } from '../../src/config/values.ts'
import { binlogWriter, sourcesOf, UUID_A, type WriterOptions, type WrittenFile } from './binlog-writer.ts'

const T0 = 1_700_000_000
const at = (timeS: number): RecoveryTarget => ({ kind: 'time', atMs: (T0 + timeS) * 1000 })
const NOTHING: BackupPosition = { file: null, position: null, gtid: null }

/** `bin.000001`, …: of each file the commit times of its transactions, in seconds after T0. */
function files(times: number[][], options: WriterOptions = {}): (WrittenFile & { starts: number[]; ends: number[] })[] {
  let number = 0
  return times.map((all, index) => {
    const writer = binlogWriter(number === 0 || options.anonymous ? [] : [[UUID_A, number]], options)
    const starts: number[] = []
    const ends: number[] = []
    for (const timeS of all) {
      starts.push(writer.position())
      writer.transaction(++number, T0 + timeS)
      ends.push(writer.position())
    }
    if (index < times.length - 1) writer.rotate(T0 + (all.at(-1) ?? 0), `bin.00000${index + 2}`)
    return { name: `bin.00000${index + 1}`, bytes: writer.bytes(), starts, ends }
  })
}

async function plan(
  all: readonly (WrittenFile & { key?: string })[],
  target: RecoveryTarget,
  backup: BackupPosition,
  { allowEarlier = false, serverId = null as number | null } = {},
) {
  const heads = await readHeads(sourcesOf(all), serverId)
  return planRecovery(heads, await scanBinlogs(heads, target, { allowEarlier }), target, backup, allowEarlier)
}
const afterFirst = { ...NOTHING, gtid: `${UUID_A}:1` }
const gtid = (last: number) => (last === 1 ? `${UUID_A}:1` : `${UUID_A}:1-${last}`)

test('a time takes every transaction up to the first one that is later, also of the very second', async () => {
  const all = files([
    [0, 10, 10],
    [10, 11, 9, 30],
  ])
  const found = await plan(all, at(10), afterFirst)
  expect(found).toMatchObject({ transactions: 3, stop: { gtid: gtid(4) }, leftOut: { gtid: `${UUID_A}:5` } })
  // A clock that goes back changes nothing: the one of second 9 comes after a later one.
  expect(await plan(all, at(11), afterFirst)).toMatchObject({ transactions: 5, stop: { gtid: gtid(6) } })
})

test('a time that no later event proves is not reached, unless less is allowed', async () => {
  const all = files([[0, 10]])
  await expect(plan(all, at(20), afterFirst)).rejects.toMatchObject({ code: 'binlog_target_not_reached' })
  const less = await plan(all, at(20), afterFirst, { allowEarlier: true })
  expect(less).toMatchObject({
    transactions: 1,
    stop: { gtid: gtid(2) },
    target: '2023-11-14T22:13:40Z (not reached)',
  })
  expect(less.notices.join()).toContain('before 2023-11-14T22:13:40Z')
  // A later event is enough, it need not be a transaction.
  const writer = binlogWriter([[UUID_A, 2]])
  writer.stop(T0 + 21)
  expect(
    await plan(
      [...files([[0, 10], []]).slice(0, 1), { name: 'bin.000002', bytes: writer.bytes() }],
      at(20),
      afterFirst,
    ),
  ).toMatchObject({
    target: '2023-11-14T22:13:40Z',
    transactions: 1,
  })
})

test('a target before the backup is refused, one that is the backup applies nothing', async () => {
  const all = files([[0, 10, 20, 30]])
  const backup = { ...NOTHING, gtid: gtid(2) }
  await expect(plan(all, at(5), backup)).rejects.toMatchObject({
    code: 'binlog_target_not_reached',
    message: expect.stringContaining('lies before the backup'),
  })
  expect(await plan(all, at(15), backup)).toMatchObject({
    transactions: 0,
    bytes: 0,
    dataAsOfMs: null,
    start: { gtid: gtid(2) },
    stop: { gtid: gtid(2), position: all[0]!.ends[1] },
  })
  const first = parseTarget({ toTime: null, toGtid: `${UUID_A}:1`, toPosition: null, toEnd: false })
  await expect(plan(all, first, backup)).rejects.toMatchObject({ code: 'binlog_target_not_reached' })
  const second = parseTarget({ toTime: null, toGtid: `${UUID_A}:2`, toPosition: null, toEnd: false })
  expect(await plan(all, second, backup)).toMatchObject({ transactions: 0 })
})

test('a clock that was ahead before the backup does not hide a target after it', async () => {
  const all = files([[0, 5000, 20, 30, 40]])
  expect(await plan(all, at(30), { ...NOTHING, gtid: gtid(3) })).toMatchObject({
    transactions: 1,
    stop: { gtid: gtid(4) },
  })
})

test('a position inside a transaction snaps to the end of the one before it, and says so', async () => {
  const all = files([
    [0, 10, 20],
    [30, 40],
  ])
  const [start, end] = [all[1]!.starts[1]!, all[1]!.ends[1]!]
  for (const position of [start, start + 1, start + 30, end - 1]) {
    const found = await plan(all, { kind: 'position', file: 'bin.000002', position }, afterFirst)
    expect(found).toMatchObject({ transactions: 3, stop: { gtid: gtid(4) } })
    expect(found.notices.length).toBe(position === start ? 0 : 1)
  }
  expect(await plan(all, { kind: 'position', file: 'bin.000002', position: end }, afterFirst)).toMatchObject({
    transactions: 4,
  })
  const beyond: RecoveryTarget = { kind: 'position', file: 'bin.000001', position: all[0]!.bytes.length + 1 }
  await expect(plan(all, beyond, afterFirst)).rejects.toMatchObject({ code: 'binlog_target_not_reached' })
  // Less is the end of that file, not of all.
  expect(await plan(all, beyond, afterFirst, { allowEarlier: true })).toMatchObject({
    stop: { gtid: gtid(3) },
    target: expect.stringMatching(/ \(not reached\)$/),
  })
  const absent: RecoveryTarget = { kind: 'position', file: 'other.000001', position: 4 }
  await expect(plan(all, absent, afterFirst, { allowEarlier: true })).rejects.toMatchObject({
    code: 'binlog_target_not_reached',
  })
})

test('a GTID set ends at the first point that has all of it; what came with it is told', async () => {
  const writer = binlogWriter([], { family: 'mariadb' })
  writer.transaction(1, T0)
  writer.as({ domain: 3 })
  writer.transaction(1, T0 + 1)
  writer.transaction(2, T0 + 2)
  writer.as({ domain: 0 })
  writer.transaction(2, T0 + 3)
  writer.transaction(3, T0 + 4)
  const all = [{ name: 'bin.000001', bytes: writer.bytes() }]
  const target = parseTarget({ toTime: null, toGtid: '0-1-2', toPosition: null, toEnd: false })
  expect(await plan(all, target, { ...NOTHING, gtid: '0-1-1' })).toMatchObject({
    transactions: 3,
    start: { gtid: '0-1-1' },
    stop: { gtid: '0-1-2,3-1-2' },
    beyondTarget: '3-1-2',
    leftOut: { gtid: '0-1-3' },
  })
})

test('without GTIDs only names prove that nothing is missing', async () => {
  const all = files([[0, 10], [20], [30]], { anonymous: true })
  const backup = { file: 'bin.000001', position: all[0]!.ends[0]!, gtid: '' }
  expect(await plan(all, { kind: 'end' }, backup)).toMatchObject({
    transactions: 3,
    start: { gtid: null },
    stop: { file: 'bin.000003', gtid: null },
  })
  await expect(plan([all[0]!, all[2]!], { kind: 'end' }, backup)).rejects.toMatchObject({ code: 'binlog_gap' })
  const renamed = [all[0]!, { ...all[1]!, name: 'x' }, all[2]!]
  await expect(plan(renamed, { kind: 'end' }, backup)).rejects.toMatchObject({ code: 'binlog_gap' })
  const cut = [{ ...all[0]!, bytes: all[0]!.bytes.subarray(0, all[0]!.ends[1]! - 3) }, all[1]!, all[2]!]
  await expect(plan(cut, { kind: 'end' }, backup)).rejects.toMatchObject({ code: 'binlog_damaged' })
})

test('position and GTID of the backup: the GTID decides inside a transaction, and a disagreement is refused', async () => {
  const all = files([[0, 10, 20], [30]])
  const [first] = all
  const both = (position: number, last: number) => ({ file: 'bin.000001', position, gtid: gtid(last) })
  const end: RecoveryTarget = { kind: 'end' }
  expect(await plan(all, end, both(first!.ends[0]!, 1))).toMatchObject({ transactions: 3 })
  // MySQL before 8.0.42 may note an offset inside the next transaction.
  expect(await plan(all, end, both(first!.starts[1]! + 10, 1))).toMatchObject({ transactions: 3 })
  expect(await plan(all, end, both(first!.starts[1]! + 10, 2))).toMatchObject({ transactions: 2 })
  await expect(plan(all, end, both(first!.ends[0]!, 2))).rejects.toMatchObject({ code: 'binlog_position_conflict' })
  await expect(plan(all, end, { ...both(first!.starts[1]! + 10, 1), gtid: null })).rejects.toMatchObject({
    code: 'binlog_position_unknown',
  })
  await expect(plan(all, end, NOTHING)).rejects.toMatchObject({ code: 'binlog_position_unknown' })
  // The end of a file and the start of the next one are the same point.
  expect(await plan(all, end, both(first!.bytes.length, 3))).toMatchObject({ start: { file: 'bin.000002' } })
})

test('files that begin after the backup, end before it, or never met it', async () => {
  const all = files([[0, 10], [20, 30], [40]])
  const end: RecoveryTarget = { kind: 'end' }
  await expect(plan(all.slice(1), end, afterFirst)).rejects.toMatchObject({ code: 'binlog_too_new' })
  await expect(plan(all.slice(0, 2), end, { ...NOTHING, gtid: gtid(5) })).rejects.toMatchObject({
    code: 'binlog_target_not_reached',
  })
  await expect(plan(all, end, { ...NOTHING, gtid: 'eeeeeeee-0000-0000-0000-000000000001:1-7' })).rejects.toMatchObject({
    code: 'binlog_foreign',
  })
  await expect(plan(all, end, { ...NOTHING, gtid: '0-1-7' })).rejects.toMatchObject({ code: 'binlog_foreign' })
  await expect(plan([], end, afterFirst)).rejects.toMatchObject({ code: 'binlog_gap' })
})

test('two servers are refused, and one is chosen by its id', async () => {
  const all = files([[0, 10], [20]])
  const other = files([[5]], { serverId: 2, uuid: 'eeeeeeee-0000-0000-0000-000000000001' })
  const both = [...all, { ...other[0]!, key: 'other' }]
  await expect(plan(both, { kind: 'end' }, afterFirst)).rejects.toMatchObject({
    code: 'binlog_foreign',
    hint: expect.stringContaining('--binlog-server-id'),
  })
  expect(await plan(both, { kind: 'end' }, afterFirst, { serverId: 1 })).toMatchObject({ transactions: 2 })
  await expect(plan(both, { kind: 'end' }, afterFirst, { serverId: 9 })).rejects.toMatchObject({ code: 'binlog_gap' })
})

test('encrypted, foreign and damaged bytes each have their own error', async () => {
  const [file] = files([[0, 10]])
  const start = (magic: string) => [
    { ...file!, bytes: Buffer.concat([Buffer.from(magic, 'latin1'), file!.bytes.subarray(4)]) },
  ]
  const codeOf = (all: WrittenFile[]) =>
    plan(all, { kind: 'end' }, afterFirst).then(
      () => null,
      error => error.code,
    )
  expect(await codeOf(start('\xfdbin'))).toBe('binlog_encrypted')
  expect(await codeOf(start('none'))).toBe('binlog_damaged')
  const encrypted = binlogWriter([], { family: 'mariadb' })
  encrypted.add(164, T0, Buffer.alloc(17))
  encrypted.transaction(1, T0)
  expect(await codeOf([{ name: 'bin.000001', bytes: encrypted.bytes() }])).toBe('binlog_encrypted')
  const tagged = binlogWriter([])
  tagged.add(42, T0, Buffer.alloc(40))
  expect(await codeOf([{ name: 'bin.000001', bytes: tagged.bytes() }])).toBe('binlog_unsupported')
  const incident = binlogWriter([])
  incident.transaction(1, T0)
  incident.add(26, T0, Buffer.from([1, 0, 0]))
  expect(await codeOf([{ name: 'bin.000001', bytes: incident.bytes() }])).toBe('binlog_damaged')
  const mixed = [file!, ...files([[1]], { family: 'mariadb' })].map((one, index) => ({ ...one, key: String(index) }))
  expect(await codeOf(mixed)).toBe('binlog_foreign')
  const bare = files([[0, 10]], { checksums: false })
  expect((await plan(bare, { kind: 'end' }, afterFirst)).notices.join()).toContain('has no checksums')
})

test('a last file that is cut ends at its last whole transaction, and says so', async () => {
  const all = files([[0, 10, 20]])
  const cut = [{ ...all[0]!, bytes: all[0]!.bytes.subarray(0, all[0]!.ends[2]! - 5) }]
  const found = await plan(cut, { kind: 'end' }, afterFirst)
  expect(found).toMatchObject({ transactions: 1, stop: { gtid: gtid(2), position: all[0]!.ends[1] } })
  expect(found.notices.join()).toContain('ends inside a transaction')
})

test('events longer than a chunk are checked and counted', async () => {
  const writer = binlogWriter([])
  writer.transaction(1, T0, 50)
  writer.statement(2, T0 + 1, `insert into d.t values ('${'x'.repeat(300_000)}')`)
  writer.transaction(3, T0 + 2, 200_000)
  const bytes = writer.bytes()
  expect(await plan([{ name: 'bin.000001', bytes }], { kind: 'end' }, afterFirst)).toMatchObject({ transactions: 2 })
  const damaged = Buffer.from(bytes)
  damaged[200_000]! ^= 1
  await expect(plan([{ name: 'bin.000001', bytes: damaged }], { kind: 'end' }, afterFirst)).rejects.toMatchObject({
    code: 'binlog_damaged',
    message: expect.stringContaining('checksum'),
  })
})

test('targets: ISO 8601 with a zone or UTC, one GTID set or one position, and one of them only', () => {
  const none = { toTime: null, toGtid: null, toPosition: null, toEnd: false }
  const time = (text: string) => {
    const toTime = parseTime(text)
    return toTime === null ? null : formatTarget(parseTarget({ ...none, toTime }))
  }
  expect(time('2026-11-27T13:59:07Z')).toBe('2026-11-27T13:59:07Z')
  expect(time('2026-11-27T14:59:07+01:00')).toBe('2026-11-27T13:59:07Z')
  expect(time('2026-11-27 13:59:07')).toBe('2026-11-27T13:59:07Z')
  expect(time('2026-11-27T13:59:07.250')).toBe('2026-11-27T13:59:07.250Z')
  expect(time('2026-11-27')).toBe('2026-11-27T00:00:00Z')
  for (const wrong of ['2026-02-31', '2026-13-01', 'yesterday', '13:59', '2026-11-27T25:00Z', ''])
    expect(time(wrong)).toBeNull()
  for (const wrong of ['0-1', 'x:1', `${UUID_A}:0`, `${UUID_A}:5-2`, ''])
    expect(() => parseTarget({ ...none, toGtid: wrong })).toThrow(expect.objectContaining({ code: 'usage' }))
  for (const wrong of ['bin.000001', 'bin.000001:', 'bin.000001:-1', 'a/b:4'])
    expect(() => parseTarget({ ...none, toPosition: wrong })).toThrow(expect.objectContaining({ code: 'usage' }))
  expect(() => parseTarget({ ...none, toTime: 0, toEnd: true })).toThrow('exclude each other')
  expect(parseTarget(none)).toEqual({ kind: 'end' })
})

test('GTID sets read back as they are written', () => {
  const uuid = fc.constantFrom(UUID_A, 'ffffffff-0000-0000-0000-00000000000a')
  const range = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.nat(10))
  fc.assert(
    fc.property(fc.array(fc.tuple(uuid, fc.array(range, { minLength: 1 })), { minLength: 1 }), streams => {
      const written = streams
        .map(([name, ranges]) => [name, ...ranges.map(([a, more]) => `${a}-${a + more}`)].join(':'))
        .join(',')
      const { set } = parseSet(written)!
      expect(parseSet(formatSet(set, 'mysql'))!.set).toEqual(set)
      for (const [name, ranges] of streams)
        for (const [first, more] of ranges)
          expect(set.get(name)!.some(([a, b]) => a <= first && first + more <= b)).toBe(true)
    }),
  )
  expect(formatSet(parseSet(' 1-2-7,\n0-1-100')!.set, 'mariadb')).toBe('0-1-100,1-2-7')
})

test('checksums of short and long events are CRC32', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat(20), (bytes, from) => {
      const buffer = Buffer.from(bytes)
      const start = Math.min(from, buffer.length)
      expect(checksum(buffer, start, buffer.length)).toBe(crc32(buffer.subarray(start)))
    }),
  )
})
