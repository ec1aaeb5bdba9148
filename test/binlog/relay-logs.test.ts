import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { findApplied, followApplied, readRelayLogInfo } from '../../src/binlog/applied.ts'
import { gtidText } from '../../src/binlog/gtid.ts'
import { openBinlogs } from '../../src/binlog/place.ts'
import { createBinlogReader, type Group } from '../../src/binlog/reader.ts'
import { planRecovery, type RecoveryPlan } from '../../src/binlog/recovery-plan.ts'
import { applyStatements, copyBinlogs, relayLogPath, resetRelayLogs } from '../../src/binlog/relay-logs.ts'
import { readHeads, scanBinlogs } from '../../src/binlog/scan.ts'
import type { RecoveryTarget } from '../../src/binlog/target.ts'
import { unsafeChanges, whyUnsafe } from '../../src/binlog/unsafe-changes.ts'
import { NO_SETTINGS } from '../../src/source/store-settings.ts'
import { sourcesOf, type WrittenFile } from './binlog-writer.ts'

/* On binlogs of a real MariaDB 10.11: four files, 25 transactions in two domains. */

const FIXTURE = join(import.meta.dirname, '../fixtures/binlogs/mariadb-10.11')
const NAMES = ['bin.000001', 'bin.000002', 'bin.000003', 'bin.000004']
const written = NAMES.map(name => ({ name, bytes: readFileSync(join(FIXTURE, name)) }))

function groupsOf(bytes: Buffer): Group[] {
  const groups: Group[] = []
  createBinlogReader(group => groups.push(group)).push(bytes)
  return groups
}

async function planTo(target: RecoveryTarget, files: readonly WrittenFile[] = written): Promise<RecoveryPlan> {
  const heads = await readHeads(sourcesOf(files), null)
  const scan = await scanBinlogs(heads, target)
  return planRecovery(heads, scan, target, { file: 'bin.000001', position: 322, gtid: '' })
}

let folder: string
let binlogs: string
let relayDir: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'relay-logs-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  binlogs = join(folder, 'binlogs')
  relayDir = join(folder, 'relay')
  mkdirSync(binlogs)
  mkdirSync(relayDir)
})

async function make(plan: RecoveryPlan, files: readonly WrittenFile[] = written): Promise<number> {
  for (const { name, bytes } of files) writeFileSync(join(binlogs, name), bytes)
  const place = await openBinlogs({ kind: 'path', path: binlogs }, NO_SETTINGS)
  let copied = 0
  const onCopied = (bytes: number) => {
    copied += bytes
  }
  try {
    await copyBinlogs(plan, place, relayDir, { signal: new AbortController().signal, onCopied })
  } finally {
    await place.close()
  }
  await resetRelayLogs(plan, relayDir)
  return copied
}

const relayLog = (index: number): Buffer => readFileSync(relayLogPath(relayDir, index))

describe('relay logs', () => {
  test('are the binlogs, the last one up to the target, and a last file without a transaction', async () => {
    const middle = groupsOf(written[2]!.bytes)[1]!
    const plan = await planTo({ kind: 'position', file: 'bin.000003', position: middle.end })
    expect(await make(plan)).toBe(written[0]!.bytes.length + written[1]!.bytes.length + middle.end)
    expect([relayLog(0), relayLog(1)]).toEqual([written[0]!.bytes, written[1]!.bytes])
    expect(relayLog(2)).toEqual(written[2]!.bytes.subarray(0, middle.end))
    expect(groupsOf(relayLog(3))).toEqual([])
    expect(createBinlogReader(() => {}).push(relayLog(3))).toBeNull()
    const index = readFileSync(join(relayDir, 'relay-bin.index'), 'utf8')
    expect(index).toBe([0, 1, 2, 3].map(at => `${relayLogPath(relayDir, at)}\n`).join(''))
  })

  test('leave out what a server that died left of a transaction, and keep how a file ends', async () => {
    // The second file ends inside its last transaction; the third one tells that it never was whole.
    const cutAt = groupsOf(written[3]!.bytes).at(-1)!
    const cut = written.map((file, at) => (at === 3 ? { ...file, bytes: file.bytes.subarray(0, cutAt.end - 5) } : file))
    const plan = await planTo({ kind: 'end' }, cut)
    await make(plan, cut)
    expect(relayLog(3)).toEqual(written[3]!.bytes.subarray(0, cutAt.start))
    for (const at of [0, 1, 2]) expect(relayLog(at)).toEqual(written[at]!.bytes)
  })

  test('are never made of a binlog that has changed since it was planned', async () => {
    const plan = await planTo({ kind: 'end' })
    for (const changed of [
      (bytes: Buffer) => bytes.subarray(0, bytes.length - 10),
      (bytes: Buffer) => Buffer.from(bytes.map((byte, at) => (at === 700 ? byte ^ 1 : byte))),
    ]) {
      const files = written.map((file, at) => (at === 1 ? { ...file, bytes: changed(file.bytes) } : file))
      await expect(make(plan, files)).rejects.toMatchObject({ code: 'source_changed' })
    }
    rmSync(join(binlogs, 'bin.000003'))
    const place = await openBinlogs({ kind: 'path', path: binlogs }, NO_SETTINGS)
    const copying = copyBinlogs(plan, place, relayDir, { signal: new AbortController().signal, onCopied() {} })
    await expect(copying).rejects.toMatchObject({ code: 'source_changed' })
    await place.close()
  })

  test('lose what a server wrote beside them before another one starts', async () => {
    const plan = await planTo({ kind: 'end' })
    await make(plan)
    const before = readdirSync(relayDir).map(name => [name, readFileSync(join(relayDir, name), 'latin1')])
    for (const name of ['relay-bin.000006', 'relay-log.info', 'master.info']) writeFileSync(join(relayDir, name), 'x')
    writeFileSync(join(relayDir, 'relay-bin.index'), 'x')
    await resetRelayLogs(plan, relayDir)
    expect(readdirSync(relayDir).map(name => [name, readFileSync(join(relayDir, name), 'latin1')])).toEqual(before)
  })

  test('are applied from the border on, to where no transaction follows; names are quoted', async () => {
    const plan = await planTo({ kind: 'end' })
    const odd = { files: plan.files.map(file => ({ ...file, name: "o'dd\\.000001" })) }
    expect(applyStatements(odd, { index: 1, position: 500, gtid: '0-1-5,1-1-3' })).toBe(
      "SET GLOBAL gtid_slave_pos='0-1-5,1-1-3';\n" +
        "CHANGE MASTER TO MASTER_HOST='none', MASTER_LOG_FILE='o\\'dd\\\\.000001', MASTER_LOG_POS=500, " +
        "RELAY_LOG_FILE='relay-bin.000002', RELAY_LOG_POS=500;\n" +
        "START SLAVE SQL_THREAD UNTIL RELAY_LOG_FILE='relay-bin.000005', RELAY_LOG_POS=4;\n",
    )
  })
})

const info = (index: number, position: number) =>
  writeFileSync(join(relayDir, 'relay-log.info'), `5\n${relayLogPath(relayDir, index)}\n${position}\nbin.1\n4\n0\n`)

describe('what is applied', () => {
  test('is told by relay-log.info, and is unknown before it is there', async () => {
    expect(readRelayLogInfo(relayDir)).toBeNull()
    info(2, 500)
    expect(readRelayLogInfo(relayDir)).toEqual({ index: 2, position: 500 })
    writeFileSync(join(relayDir, 'relay-log.info'), '')
    expect(readRelayLogInfo(relayDir)).toBeNull()
  })

  test('counts bytes and transactions, and the time of the last commit, whichever positions are seen', async () => {
    const plan = await planTo({ kind: 'end' })
    await make(plan)
    const all = written.flatMap(({ bytes }, index) => groupsOf(bytes).map(group => ({ index, group })))
    const applied = all.filter(({ index, group }) => index > 0 || group.start >= 322)
    expect(applied).toHaveLength(plan.transactions)
    // An agent that sees all of them, and one that sees every seventh.
    for (const step of [1, 7]) {
      const following = followApplied(plan, relayDir)
      for (let at = step - 1; at < applied.length; at += step) {
        const { index, group } = applied[at]!
        info(index, group.end)
        const before = plan.files.slice(0, index).reduce((sum, { from, to }) => sum + to - from, 0)
        expect(await following.look()).toEqual({
          bytes: before + group.end - plan.files[index]!.from,
          transactions: at + 1,
          dataAsOfMs: group.committedAtMs,
        })
      }
      info(4, 4)
      expect(await following.look()).toEqual({
        bytes: plan.bytes,
        transactions: plan.transactions,
        dataAsOfMs: plan.dataAsOfMs,
      })
    }
  })

  test('a server that died goes on behind the transaction that its gtid_slave_pos names, at every one', async () => {
    const plan = await planTo({ kind: 'end' })
    await make(plan)
    const position = new Map<string, string>()
    expect(await findApplied(plan, relayDir, '')).toMatchObject({ index: 0, position: 322 })
    for (const [index, { bytes }] of written.entries())
      for (const { start, end, gtid } of groupsOf(bytes)) {
        if (index === 0 && start < 322) continue
        position.set(gtid!.stream.split('-')[0]!, gtidText(gtid!))
        const text = [...position.values()].join(',')
        expect(await findApplied(plan, relayDir, text), text).toEqual({ index, position: end, gtid: text })
      }
    expect(await findApplied(plan, relayDir, '0-1-999')).toBeNull()
    expect(await findApplied(plan, relayDir, '7-1-1')).toBeNull()
  })
})

describe('after a server was killed', () => {
  const noted = new Date('2026-01-15T03:00:00Z')
  const at = (seconds: number) => new Date(noted.getTime() + seconds * 1000)
  let datadir: string

  async function killed(files: Readonly<Record<string, Date>>, position?: { index: number; position: number }) {
    const plan = await planTo({ kind: 'end' })
    await make(plan)
    datadir = join(folder, 'data')
    rmSync(datadir, { recursive: true, force: true })
    mkdirSync(datadir)
    for (const [name, time] of Object.entries(files)) {
      mkdirSync(join(datadir, name, '..'), { recursive: true })
      writeFileSync(join(datadir, name), '')
      utimesSync(join(datadir, name), time, time)
    }
    info(0, 322)
    utimesSync(join(relayDir, 'relay-log.info'), noted, noted)
    const border = { index: 0, position: 322, gtid: '', ...position }
    return whyUnsafe(unsafeChanges(datadir, relayDir), relayDir, border)
  }

  /** Behind which border a transaction follows that changes transactional tables only, by mariadb-binlog. */
  const transactional = () => {
    for (const [index, { bytes }] of written.entries())
      for (const { start, end } of groupsOf(bytes))
        if ((bytes[start + 19 + 12]! & 4) !== 0 && end < bytes.length) return { index, position: start }
    throw new Error('there is none')
  }

  test('files of tables in no transaction that changed since the last commit make it unsafe to go on', async () => {
    expect(await killed({ 'd/m.MYD': at(-60), 'd/t.ibd': at(1) })).toBeNull()
    expect(await killed({ 'd/m.MYD': at(1) })).toMatch(/d\/m\.MYD/)
    expect(await killed({ 'd/t.frm': at(5) })).toMatch(/d\/t\.frm/)
    expect(await killed({ 'd/#sql-alter-1-2.frm': at(5) })).toBeNull()
  })

  test('a change just before the last commit was noted counts only where the next statement may have begun it', async () => {
    expect(await killed({ 'd/m.MYD': at(-0.1) })).toMatch(/d\/m\.MYD/)
    expect(await killed({ 'd/m.MYD': at(-0.1) }, transactional())).toBeNull()
    expect(await killed({ 'd/m.MYD': at(0.1) }, transactional())).toMatch(/d\/m\.MYD/)
  })

  test('temporary tables are gone with the server', async () => {
    expect(await killed({ '#sql-temptable-1f-8-0.frm': at(-60), 'd/db.opt': at(-60) })).toMatch(/temporary/)
    expect(await killed({ '#sql_1_0.MAI': at(-60), 'd/db.opt': at(-60) })).toBeNull()
  })

  test('nothing was applied where no position was noted', () => {
    expect(unsafeChanges(folder, relayDir)).toBeNull()
  })
})
