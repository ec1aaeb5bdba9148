import { linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, inject, test } from 'vitest'
import { type ErrorCode, exitCodeOf } from '../../src/errors.ts'
import { binlogWriter } from '../binlog/binlog-writer.ts'
import { startServer } from '../integration/private-server.ts'
import { type Ended, expectFailure, processesAt, type Workspace, workspace } from '../integration/workspace.ts'
import { expectEqual, OWNER } from './equal.ts'

/**
 * Binlogs or a backup with a fault: each is refused by its own code, and leaves nothing. What only the server can find,
 * a transaction that does not fit the data, leaves a datadir that is marked as incomplete.
 */
const { backup, binlogs, names, marks } = inject('history')
/** The first ones: `ddl` is the last step that they have as a whole. */
const FIRST = names.slice(0, names.indexOf(marks.ddl.file) + 1)

/** A directory with these binlogs; `changed` are written instead of them, or besides. */
function directoryOf({ dir }: Workspace, kept: readonly string[], changed: Readonly<Record<string, Buffer>> = {}) {
  const directory = join(dir, 'binlogs')
  mkdirSync(directory)
  for (const name of kept) if (!(name in changed)) linkSync(join(binlogs, name), join(directory, name))
  for (const [name, bytes] of Object.entries(changed)) writeFileSync(join(directory, name), bytes)
  return directory
}

/** The good backup is configured as an older one, which would succeed at once where it was taken. */
function restore(at: Workspace, directory: string, args: readonly string[] = [], source = backup): Promise<Ended> {
  const config = join(at.dir, 'restore.yaml')
  writeFileSync(config, `older_backups:\n  - ${backup}\n`)
  return at.restore([source], { args: [...OWNER, '--config', config, '--binlogs', directory, ...args] })
}

function expectNoOlder(at: Workspace, { stderr }: Ended): void {
  expect(at.state()).toMatchObject({ backupIndex: 0, attempt: 1 })
  expect(stderr).not.toContain('older backup')
}

const MADE_BY_TEST = ['binlogs', 'restore.yaml', 'changed', 'changed.xb.zst']

function expectRefusal(at: Workspace, ended: Ended, code: ErrorCode, { extracted = false } = {}): void {
  expectFailure(at, ended, code, { kept: MADE_BY_TEST })
  expectNoOlder(at, ended)
  expect(ended.stderr.includes('restoring_basebackup started')).toBe(extracted)
}

const half = (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1)
const flipped = (bytes: Buffer) => {
  bytes[bytes.length >> 1]! ^= 1
  return bytes
}

test('a missing binlog', async () => {
  const at = workspace()
  const [missing, next] = FIRST.slice(-2)
  const ended = await restore(
    at,
    directoryOf(
      at,
      FIRST.filter(name => name !== missing),
    ),
  )
  expectRefusal(at, ended, 'binlog_gap')
  expect(ended.stderr).toContain(next)
})

test.each([
  ['with a flipped byte', flipped],
  ['cut in the middle', half],
])('a binlog %s, with others after it', async (_, damage) => {
  const at = workspace()
  const [damaged] = FIRST.slice(-2)
  const ended = await restore(at, directoryOf(at, FIRST, { [damaged!]: damage(readFileSync(join(binlogs, damaged!))) }))
  expectRefusal(at, ended, 'binlog_damaged')
  expect(ended.stderr).toMatch(new RegExp(`^error .*${damaged}`, 'm'))
})

test('a target behind the last binlog is not reached; with --allow-earlier all there is is applied', async () => {
  const at = workspace()
  // Cut where the step ends, so that what it held then is what is compared.
  const { file, position } = marks.ddl
  const cut = readFileSync(join(binlogs, file)).subarray(0, position)
  const directory = directoryOf(at, FIRST, { [file]: cut })
  const target = ['--to-gtid', marks.end.gtid]
  const ended = await restore(at, directory, target)
  expectRefusal(at, ended, 'binlog_target_not_reached')
  const again = workspace()
  const earlier = await again.restore([backup], {
    args: [...OWNER, '--binlogs', directory, ...target, '--allow-earlier'],
  })
  await expectEqual(again, earlier, 'ddl')
  expect(earlier.stderr + earlier.stdout).toMatch(/binlogs .* to GTID \S+ \(not reached\)$/m)
  expect(earlier.stderr).toMatch(new RegExp(`note: the binlogs end at ${file}:${position} .*before GTID`))
})

const ofAnotherServer = () => {
  const other = binlogWriter([], { family: 'mariadb', serverId: 9 })
  other.transaction(1, 1_700_000_000)
  other.stop(1_700_000_001)
  return other.bytes()
}

test('a binlog of another server among them', async () => {
  const at = workspace()
  const ended = await restore(at, directoryOf(at, FIRST, { 'other.000001': ofAnotherServer() }))
  expectRefusal(at, ended, 'binlog_foreign')
  expect(ended.stderr).toContain('7, 9')
})

test('binlogs of another server alone: seen once the backup tells its position', async () => {
  const at = workspace()
  const ended = await restore(at, directoryOf(at, [], { 'binlog.000001': ofAnotherServer() }))
  expectRefusal(at, ended, 'binlog_foreign', { extracted: true })
})

async function extract({ dir }: Workspace): Promise<string> {
  const directory = join(dir, 'changed')
  mkdirSync(directory)
  await execa('sh', ['-c', `zstd -dcq ${backup} | mbstream -x -C ${directory}`])
  return directory
}

/** The backup, with a GTID that is not that of its offset in these metadata files. */
async function withOtherGtid(at: Workspace, files: readonly string[]): Promise<string> {
  const directory = await extract(at)
  for (const name of files) {
    const before = readFileSync(join(directory, name), 'latin1')
    const after = before.replaceAll(
      marks.backup.gtid,
      marks.backup.gtid.replace(/\d+$/, number => `${+number - 1}`),
    )
    expect(after).not.toBe(before)
    writeFileSync(join(directory, name), after, 'latin1')
  }
  return directory
}

const POSITION_FILES = ['xtrabackup_binlog_info', 'xtrabackup_info']

test('two metadata files of a backup with different positions', async () => {
  const at = workspace()
  const source = await withOtherGtid(at, POSITION_FILES.slice(0, 1))
  const ended = await restore(at, directoryOf(at, FIRST), [], source)
  expectRefusal(at, ended, 'binlog_position_conflict')
  for (const name of POSITION_FILES) expect(ended.stderr).toContain(name)
})

test('a backup whose GTID and offset differ: its metadata come last in a stream, and nothing is applied', async () => {
  const at = workspace()
  const directory = await withOtherGtid(at, POSITION_FILES)
  const source = join(at.dir, 'changed.xb.zst')
  const pack = `{ find * -type f ! -name 'xtrabackup_*'; ls xtrabackup_*; } | xargs mbstream -c | zstd -q -1 > ${source}`
  await execa('sh', ['-c', pack], { cwd: directory })
  const ended = await restore(at, directoryOf(at, FIRST), [], source)
  expectRefusal(at, ended, 'binlog_position_conflict', { extracted: true })
})

test.each([
  [1062, 'insert into t3 (id, k) select seq, 7 from seq_2001_to_3000', 'Duplicate entry'],
  [1032, 'delete from t3', "Can't find record"],
  [1146, 'drop table t3', "doesn't exist"],
])('a transaction that does not fit the data, error %i, ends apply where it begins', async (number, change, words) => {
  const at = workspace()
  const source = await extract(at)
  await execa('mariadb-backup', ['--no-defaults', '--prepare', `--target-dir=${source}`])
  const changing = await startServer(source)
  await changing.sql(`use app; ${change}`).finally(changing.stop)

  const ended = await restore(at, directoryOf(at, FIRST), [], source)
  expect(ended).toMatchObject({ code: exitCodeOf('binlog_apply_failed'), signal: null })
  const error = /^error binlog_apply_failed: (.*)/m.exec(ended.stderr)![1]!
  expect(error).toContain(words)
  expect(error).toContain(`error code: ${number}`)
  expect(error).toContain('app.t3')
  const [, gtid] = /Gtid 0-7-(\d+)/.exec(error)!
  const [, file, position] = /begins at (binlog\.\d+):(\d+)/.exec(error)!
  const { stdout } = await execa('mariadb-binlog', [`--start-position=${position}`, join(binlogs, file!)])
  expect(/GTID 0-7-(\d+)/.exec(stdout)![1]).toBe(gtid)

  expectNoOlder(at, ended)
  expect(processesAt(at.dir)).toEqual([])
  const incomplete = readFileSync(join(at.datadir, 'restore-incomplete.txt'), 'utf8')
  const applied = Number(gtid) - 1 - Number(/\d+$/.exec(marks.backup.gtid))
  expect(incomplete).toMatch(new RegExp(`holds the backup and ${applied} of \\d+ transactions of the binlogs`))
  expect(incomplete).toContain(error)
  const left = await startServer(at.datadir)
  const stands = await left.sql('select @@gtid_slave_pos').finally(left.stop)
  expect(stands).toEqual([`0-7-${Number(gtid) - 1}`])
  expect(readdirSync(at.dir).sort()).toEqual(['binlogs', 'changed', 'data', 'restore.yaml', 'state'])
})
