import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseSet } from '../../src/binlog/gtid.ts'
import { createBinlogReader } from '../../src/binlog/reader.ts'
import { type BackupPosition, headsFrom, planRecovery, type RecoveryPlan } from '../../src/binlog/recovery-plan.ts'
import { readHeads, scanBinlogs } from '../../src/binlog/scan.ts'
import type { RecoveryTarget } from '../../src/binlog/target.ts'
import { RestoreError } from '../../src/errors.ts'
import {
  binlogWriter,
  type Family,
  sourcesOf,
  UUID_A,
  UUID_B,
  UUID_C,
  UUID_D,
  type WrittenFile,
} from './binlog-writer.ts'

/** One transaction of a history, and where it was written. */
interface Written {
  gtid: string
  timeS: number
  file: number
  start: number
  end: number
}

interface History {
  family: Family
  files: (WrittenFile & { key: string })[]
  groups: Written[]
}

interface Shape {
  family: Family
  checksums: boolean
  /** Of each file: of each transaction, seconds since the one before it, and whether it is of the other stream. */
  files: { gapS: number; isOther: boolean; isStatement: boolean }[][]
}

const EPOCH_S = 1_700_000_000
/** Of the server's own transactions, and of those it replicates or has in another domain. */
const STREAMS = { mysql: [UUID_A, UUID_B], mariadb: ['0-1', '1-1'] }
const OTHER_STREAMS = { mysql: [UUID_C, UUID_D], mariadb: ['5-1', '6-1'] }

/** Writes a history, going on from `groups` of another one whose transactions up to there it shares. */
function write({ family, files: shape, checksums }: Shape, shared: readonly Written[] = [], all = STREAMS): History {
  const streams = all[family]
  const last = [0, 0]
  for (const { gtid } of shared) {
    const stream = streams.findIndex(name => gtid.startsWith(name))
    last[stream] = Number(/(\d+)$/.exec(gtid)![1])
  }
  let timeS = shared.at(-1)?.timeS ?? EPOCH_S
  const groups: Written[] = []
  const files = shape.map((transactions, index) => {
    const previous = streams.flatMap((stream, of) => (last[of]! > 0 ? [[stream, last[of]!] as const] : []))
    const writers = [0, 1].map(of => ({
      family,
      checksums,
      uuid: streams[of]!,
      domain: Number.parseInt(streams[of]!, 10),
    }))
    const writer = binlogWriter(previous, writers[0])
    for (const { gapS, isOther, isStatement } of transactions) {
      const of = isOther ? 1 : 0
      timeS += gapS
      const number = ++last[of]!
      const start = writer.position()
      writer.as(writers[of]!)
      if (isStatement) writer.statement(number, timeS)
      else writer.transaction(number, timeS, 20 + number * 7)
      const gtid = family === 'mysql' ? `${streams[of]}:${number}` : `${streams[of]}-${number}`
      groups.push({ gtid, timeS, file: index, start, end: writer.position() })
    }
    writer.as(writers[0]!)
    if (index < shape.length - 1) writer.rotate(timeS, nameOf(index + 1))
    return { name: nameOf(index), key: nameOf(index), bytes: writer.bytes() }
  })
  return { family, files, groups }
}

const nameOf = (index: number) => `bin.${String(index + 1).padStart(6, '0')}`

const transaction = fc.record({
  gapS: fc.integer({ min: 0, max: 3 }),
  isOther: fc.boolean(),
  isStatement: fc.boolean(),
})
const shape: fc.Arbitrary<Shape> = fc.record({
  family: fc.constantFrom<Family>('mysql', 'mariadb'),
  checksums: fc.constant(true),
  files: fc.array(fc.array(transaction, { maxLength: 5 }), { minLength: 1, maxLength: 6 }),
})

/** What a server has after the first `count` transactions. */
function gtidAfter({ family, groups }: History, count: number): string {
  const last = new Map<string, number>()
  for (const { gtid } of groups.slice(0, count)) {
    const [, stream, number] = /^(.+)[:-](\d+)$/.exec(gtid)!
    last.set(stream!, Number(number))
  }
  return [...last]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([stream, number]) =>
      family === 'mariadb' ? `${stream}-${number}` : `${stream}:1-${number}`.replace(/:1-1$/, ':1'),
    )
    .join(',')
}

/** The position that a backup after `count` transactions notes. */
function backupAfter(history: History, count: number, knows: 'both' | 'gtid' | 'position'): BackupPosition {
  const before = history.groups[count - 1]
  const next = history.groups[count]
  const place = before
    ? { file: nameOf(before.file), position: before.end }
    : { file: nameOf(next?.file ?? 0), position: next?.start ?? 4 }
  return {
    file: knows === 'gtid' ? null : place.file,
    position: knows === 'gtid' ? null : place.position,
    gtid: knows === 'position' ? null : gtidAfter(history, count),
  }
}

interface Case {
  shape: Shape
  /** Where the backup and the target stand, as parts of the history. */
  at: number
  to: number
  knows: 'both' | 'gtid' | 'position'
  kind: RecoveryTarget['kind']
  /** The position of the backup is known before the scan. */
  isKnown: boolean
}

const aCase: fc.Arbitrary<Case> = fc.record({
  shape,
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  to: fc.double({ min: 0, max: 1, noNaN: true }),
  knows: fc.constantFrom('both', 'gtid', 'position'),
  kind: fc.constantFrom<RecoveryTarget['kind']>('end', 'time', 'gtid', 'position'),
  isKnown: fc.boolean(),
})

interface Asked {
  history: History
  backup: BackupPosition
  target: RecoveryTarget
  /** Transactions before the backup, and before the target. */
  from: number
  until: number
}

/** A backup and a target after it; the target of kind `time` is one that a later event proves. */
function ask({ shape, at, to, knows, kind }: Case): Asked | null {
  const history = write(shape)
  const { groups, family } = history
  if (groups.length === 0) return null
  const from = Math.floor(at * groups.length)
  let until = Math.min(groups.length, from + 1 + Math.floor(to * (groups.length - from)))
  let target: RecoveryTarget = { kind: 'end' }
  const last = groups[until - 1]!
  if (kind === 'end') until = groups.length
  else if (kind === 'position') target = { kind, file: nameOf(last.file), position: last.end }
  else if (kind === 'gtid') target = { kind, family, set: parseSet(last.gtid)!.set, text: last.gtid }
  else {
    until = groups.findIndex(({ timeS }, index) => index >= until && timeS > last.timeS)
    if (until < 0) return null
    target = { kind, atMs: last.timeS * 1000 }
  }
  return { history, backup: backupAfter(history, from, knows), target, from, until }
}

type Files = readonly (WrittenFile & { key: string })[]

async function plan(files: Files, { backup, target }: Asked, isKnown: boolean): Promise<RecoveryPlan> {
  const heads = await readHeads(sourcesOf(files, 97), null)
  const needed = isKnown ? headsFrom(heads, backup) : heads
  return planRecovery(needed, await scanBinlogs(needed, target), target, backup)
}

/** The GTIDs of what a plan applies, read of the files again. */
function appliedBy(plan: RecoveryPlan, files: Files): string[] {
  return plan.files.flatMap(({ key, from, to }) => {
    const found: string[] = []
    const reader = createBinlogReader(({ start, end, gtid }) => {
      if (start >= from && end <= to)
        found.push(gtid!.stream.length === 36 ? `${gtid!.stream}:${gtid!.number}` : `${gtid!.stream}-${gtid!.number}`)
    })
    reader.push(files.find(file => file.key === key)!.bytes)
    return found
  })
}

const wanted = ({ history, from, until }: Asked) => history.groups.slice(from, until).map(({ gtid }) => gtid)

/** The plan, or the code of its refusal; anything else thrown fails the test. */
async function planOrCode(files: Files, asked: Asked, isKnown: boolean): Promise<RecoveryPlan | string> {
  try {
    return await plan(files, asked, isKnown)
  } catch (thrown) {
    if (thrown instanceof RestoreError && thrown.code.startsWith('binlog_')) return thrown.code
    throw thrown
  }
}

const RUNS = Number(process.env.PLAN_RUNS ?? 120)

test('whole files, in any order: exactly the transactions between backup and target', async () => {
  await fc.assert(
    fc.asyncProperty(aCase, fc.infiniteStream(fc.nat()), async (one, random) => {
      const asked = ask(one)
      fc.pre(asked !== null)
      const shuffled = [...asked.history.files].sort(() => (random.next().value! % 2) - 0.5)
      const found = await plan(shuffled, asked, one.isKnown)
      expect(appliedBy(found, shuffled)).toEqual(wanted(asked))
      expect(found).toMatchObject({
        transactions: asked.until - asked.from,
        start: { gtid: gtidAfter(asked.history, asked.from) || (asked.history.family === 'mysql' ? null : '') },
        stop: { gtid: gtidAfter(asked.history, asked.until) },
        dataAsOfMs: asked.until === asked.from ? null : asked.history.groups[asked.until - 1]!.timeS * 1000,
      })
    }),
    { numRuns: RUNS },
  )
})

/** What is done to files before the plan; null where it cannot be done to these. */
type Change = (asked: Asked, random: () => number) => Files | null

const pick = (random: () => number, count: number) => Math.min(count - 1, Math.floor(random() * count))

const hole: Change = ({ history: { files } }, random) => {
  const at = pick(random, files.length)
  return files.length < 2 ? null : files.filter((_, index) => index !== at)
}
const flip: Change = ({ history: { files } }, random) => {
  const at = pick(random, files.length)
  const bytes = Buffer.from(files[at]!.bytes)
  const offset = pick(random, bytes.length)
  bytes[offset]! ^= 1 << pick(random, 8)
  return files.map((file, index) => (index === at ? { ...file, bytes } : file))
}
const cut: Change = ({ history: { files } }, random) => {
  const at = pick(random, files.length)
  const file = files[at]!
  const bytes = file.bytes.subarray(0, pick(random, file.bytes.length))
  return files.map((one, index) => (index === at ? { ...one, bytes } : one))
}
const duplicate: Change = ({ history: { files } }, random) => {
  const file = files[pick(random, files.length)]!
  return [...files, { ...file, key: `copy/${file.key}` }]
}
const renamed: Change = ({ history: { files } }, random) =>
  files.map((file, index) => ({
    ...file,
    key: `x${(random() * 1e9).toFixed(0)}-${index}`,
    name: `x${(random() * 1e9).toFixed(0)}`,
  }))

/** After a recovery to an earlier point, a server went on: the old files of that time are still there. */
const fork: Change = ({ history }, random) => {
  const { family, groups } = history
  const shared = groups.slice(0, pick(random, groups.length))
  const shape = [1, 2].map(() => [1, 2, 3].map(() => ({ gapS: 1, isOther: false, isStatement: false })))
  const { files } = write({ family, checksums: true, files: shape }, shared)
  return [...history.files, ...files.map(file => ({ ...file, key: `later/${file.key}` }))]
}
/**
 * Files of another server with the same server id stand in the place of some. Nothing tells them from those of the
 * server where the backup has no transaction, or no GTID.
 */
const otherServer: Change = ({ history: { family, files }, from, backup }, random) => {
  if (from === 0 || backup.gtid === null) return null
  const at = pick(random, files.length)
  const shape = files.map(() => [{ gapS: 1, isOther: true, isStatement: false }])
  const others = write({ family, checksums: true, files: shape }, [], OTHER_STREAMS).files
  return files.map((file, index) => (index < at ? file : others[index]!))
}

const CHANGES: Record<string, Change> = { hole, flip, cut, duplicate, renamed, fork, otherServer }

test.each(Object.keys(CHANGES))(
  '%s: the right plan or a refusal, never a plan on less or on damaged bytes',
  async name => {
    const seen = { plans: 0, refusals: 0 }
    await fc.assert(
      fc.asyncProperty(
        aCase,
        fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
        async (one, stream) => {
          const asked = ask(one)
          fc.pre(asked !== null)
          const files = CHANGES[name]!(asked, () => stream.next().value!)
          fc.pre(files !== null)
          const found = await planOrCode(files, asked, one.isKnown)
          if (typeof found === 'string') {
            seen.refusals += 1
            return
          }
          seen.plans += 1
          const applied = appliedBy(found, files)
          const all = wanted(asked)
          // To the end of what there is: less is right where the last files are not there or not whole.
          const isEnd = asked.target.kind === 'end' && (name === 'hole' || name === 'cut')
          expect(applied).toEqual(isEnd ? all.slice(0, applied.length) : all)
          if (isEnd && applied.length < all.length) {
            // Only files that hold nothing may stand behind what is gone.
            const lastWith = asked.history.groups.at(-1)!.file
            const last = files.find(({ name }) => name === nameOf(lastWith))
            expect(last === undefined || last.bytes.length < asked.history.files[lastWith]!.bytes.length).toBe(true)
          }
          for (const { key, from, to } of found.files) {
            const now = files.find(file => file.key === key)!.bytes.subarray(from, to)
            const then = asked.history.files.find(({ bytes }) => bytes.subarray(from, to).equals(now))
            expect(then).toBeDefined()
          }
        },
      ),
      { numRuns: RUNS },
    )
    // Neither a change that always fails nor one that never does tests anything.
    if (name !== 'duplicate' && name !== 'renamed') expect(seen.refusals).toBeGreaterThan(0)
    if (name !== 'otherServer') expect(seen.plans).toBeGreaterThan(0)
  },
)
