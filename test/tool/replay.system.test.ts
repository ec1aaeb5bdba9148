import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Command } from '../../src/tool/command.ts'
import { toolFamily } from '../../src/tool/families.ts'
import { judgeExit, type ToolPhase } from '../../src/tool/judge-exit.ts'
import { payloadChunk, xbstream } from '../fixtures/xbstream-writer.ts'
import { fileScratch } from '../support/scratch.ts'
import { eventsOf, only, stderrOf, transcriptDir } from './transcripts.ts'

/* The stand-ins for Percona's programs, called with our commands: what other tests rely on. */

const family = toolFamily('xtrabackup')
const bin = join(import.meta.dirname, '../fixtures/bin')
const directory = fileScratch()
let used = 0
const fresh = () => {
  const path = join(directory, String(++used))
  mkdirSync(path)
  return path
}

function run({ file, args }: Command, env: NodeJS.ProcessEnv = {}, input?: Buffer) {
  return spawnSync(file, args, { env: { ...process.env, ...env }, encoding: 'utf8', ...(input && { input }) })
}

function judged(phase: ToolPhase, { status, signal, stderr }: ReturnType<typeof run>) {
  const events = eventsOf(phase === 'extract' ? family.extractGrammar() : family.grammar(), stderr)
  const saidCompletedOk = only(events, 'completed_ok').length > 0
  return (
    judgeExit({
      program: 'xtrabackup',
      phase,
      exit: { code: status, signal },
      failures: only(events, 'failure'),
      saidCompletedOk,
    })?.code ?? null
  )
}

const program = join(bin, 'xtrabackup')
const extract = (into: string, key = false): Command =>
  family.extract({
    extractor: join(bin, 'xbstream'),
    toolVersion: '8.0.35-31',
    directory: into,
    parallel: 1,
    innerSuffixes: key ? ['.xbcrypt'] : ['.zst'],
    key: key ? { keyFile: join(directory, 'no-such-key'), algorithm: 'AES256' } : null,
  })
const prepare = (targetDir: string, incrementalDir: string | null = null, isLast = true): Command =>
  family.prepare({
    program,
    toolVersion: '8.0.35-31',
    targetDir,
    incrementalDir,
    memoryBytes: 1 << 29,
    parallel: 1,
    isLast,
  })
const moveBack = (targetDir: string, datadir: string): Command =>
  family.moveBack({ program, targetDir, datadir, parallel: 1 })
const replay = { REPLAY_TRANSCRIPT: transcriptDir('xtrabackup/8.0.35-single-batch-undo'), REPLAY_SPEED: '500' }

const checkpoints = (type: string, from: number, to: number, last: number) =>
  Buffer.from(`backup_type = ${type}\nfrom_lsn = ${from}\nto_lsn = ${to}\nlast_lsn = ${last}\n`)
const full = (): Record<string, Buffer> => ({
  ibdata1: randomBytes(300_000),
  'app/t1.ibd': randomBytes(70_000),
  'app/empty': Buffer.alloc(0),
  xtrabackup_logfile: randomBytes(1000),
  xtrabackup_checkpoints: checkpoints('full-backuped', 0, 100, 200),
  'backup-my.cnf': Buffer.from('[mysqld]\n'),
})
const incremental = (): Record<string, Buffer> => ({
  'app/t1.ibd.delta': randomBytes(500),
  'app/t1.ibd.meta': Buffer.from('page_size = 16384\n'),
  xtrabackup_logfile: randomBytes(1000),
  xtrabackup_checkpoints: checkpoints('incremental', 100, 300, 400),
})

function extracted(files: Record<string, Buffer>): string {
  const into = fresh()
  expect(run(extract(into), {}, xbstream(files, 4096)).status).toBe(0)
  return into
}

describe('xbstream', () => {
  test('writes what the stream holds', () => {
    const files = full()
    const into = extracted(files)
    for (const [path, content] of Object.entries(files))
      expect(readFileSync(join(into, path)).equals(content), path).toBe(true)
  })

  test('the stream is one that MariaDB’s mbstream reads too', () => {
    const files = full()
    const into = fresh()
    execFileSync('mbstream', ['-x', '-C', into], { input: xbstream(files, 10_000) })
    for (const [path, content] of Object.entries(files))
      expect(readFileSync(join(into, path)).equals(content), path).toBe(true)
  })

  test('decompresses what is compressed inside', () => {
    const content = randomBytes(100_000)
    const into = extracted({ 'app/t1.ibd.zst': execFileSync('zstd', ['-c'], { input: content }) })
    expect(readdirSync(join(into, 'app'))).toEqual(['t1.ibd'])
    expect(readFileSync(join(into, 'app/t1.ibd')).equals(content)).toBe(true)
  })

  const good = xbstream({ 'a.ibd': Buffer.alloc(5000, 1), 'b.ibd': Buffer.alloc(5000, 2) }, 1000)
  const flipped = Buffer.from(good)
  flipped[1500]! ^= 1
  test.each([
    ['cut in a head', good.subarray(0, good.length - 25), 'source_truncated'],
    ['cut in a payload', good.subarray(0, 500), 'source_truncated'],
    ['cut between chunks', good.subarray(0, payloadChunk('a.ibd', Buffer.alloc(1000), 0).length), null],
    ['empty', Buffer.alloc(0), null],
    ['flipped', flipped, 'source_corrupt'],
    ['out of order', payloadChunk('a.ibd', Buffer.alloc(10), 5), 'source_corrupt'],
    ['garbage', Buffer.alloc(5000, 'x'), 'source_unknown'],
  ])('%s', (_, stream, code) => expect(judged('extract', run(extract(fresh()), {}, stream))).toBe(code))

  test('into a folder that has the files', () => {
    const into = fresh()
    writeFileSync(join(into, 'a.ibd'), '')
    expect(judged('extract', run(extract(into), {}, good))).toBe('target_not_new')
  })

  test('a failure on demand', () => {
    expect(judged('extract', run(extract(fresh()), { REPLAY_FAIL: 'disk-full' }, good))).toBe('disk_full')
    const silent = run(extract(fresh()), { REPLAY_FAIL: 'disk-full-silent' }, good)
    expect(silent.status).toBe(0)
    expect(judged('extract', silent)).toBe('disk_full')
    expect(judged('extract', run(extract(fresh(), true), {}, good))).toBe('key_missing')
    expect(run(extract(fresh()), { REPLAY_FAIL: 'no such class' }, good).status).toBe(64)
  })
})

describe('xtrabackup', () => {
  test('its version', () => {
    const { stdout, stderr } = run(family.version(program))
    expect(family.parseVersion(stdout + stderr)).toBe('8.0.35-31')
    const other = run(family.version(program), { REPLAY_VERSION: '2.4.29' })
    expect(family.parseVersion(other.stderr)).toBe('2.4.29')
  })

  test('a full backup: the transcript byte for byte, then move-back', () => {
    const files = full()
    const target = extracted(files)
    const prepared = run(prepare(target), replay)
    expect(prepared.stderr).toBe(stderrOf('xtrabackup/8.0.35-single-batch-undo'))
    expect(judged('prepare', prepared)).toBeNull()
    expect(readFileSync(join(target, 'xtrabackup_checkpoints'), 'utf8')).toContain('backup_type = full-prepared')
    expect(existsSync(join(target, 'xtrabackup_logfile'))).toBe(false)
    expect(existsSync(join(target, '#innodb_redo/#ib_redo0'))).toBe(true)

    const datadir = join(fresh(), 'datadir')
    const moved = run(moveBack(target, datadir))
    expect(judged('move_back', moved)).toBeNull()
    const events = eventsOf(family.grammar(), moved.stderr)
    expect(only(events, 'file_started')).toHaveLength(4)
    expect(only(events, 'file_done')).toHaveLength(4)
    expect(readdirSync(datadir).sort()).toEqual(['#innodb_redo', 'app', 'ibdata1'])
    expect(readFileSync(join(datadir, 'ibdata1')).equals(files.ibdata1!)).toBe(true)
  })

  test('a chain', () => {
    const target = extracted(full())
    const next = extracted(incremental())
    expect(judged('prepare', run(prepare(target, next), replay))).toBe('chain_broken')
    expect(judged('prepare', run(prepare(target, null, false), replay))).toBeNull()
    expect(readFileSync(join(target, 'xtrabackup_checkpoints'), 'utf8')).toContain('backup_type = log-applied')
    expect(judged('move_back', run(moveBack(target, join(fresh(), 'datadir'))))).toBe('not_prepared')

    const applied = run(prepare(target, next), replay)
    expect(judged('prepare', applied)).toBeNull()
    const events = eventsOf(family.grammar(), applied.stderr)
    expect(only(events, 'delta_apply')).toEqual([{ type: 'delta_apply', file: 'app/t1.ibd.delta' }])
    expect(readFileSync(join(target, 'xtrabackup_checkpoints'), 'utf8')).toBe(
      checkpoints('full-prepared', 0, 300, 400).toString(),
    )
    expect(judged('prepare', run(prepare(target, next), replay))).toBe('chain_broken')
  })

  test('refusals', () => {
    const target = extracted(full())
    expect(judged('move_back', run(moveBack(target, join(fresh(), 'datadir'))))).toBe('not_prepared')
    expect(run(prepare(target), { ...replay, REPLAY_SPEED: '5000' }).status).toBe(0)
    const datadir = fresh()
    writeFileSync(join(datadir, 'something'), '')
    expect(judged('move_back', run(moveBack(target, datadir)))).toBe('datadir_not_empty')
    expect(judged('prepare', run(prepare(fresh()), replay))).toBe('backup_incomplete')
    expect(judged('prepare', run(prepare(extracted(full())), { ...replay, REPLAY_FAIL: 'version-mismatch' }))).toBe(
      'tool_version',
    )
  })

  test('decompress', () => {
    const content = randomBytes(50_000)
    const target = fresh()
    writeFileSync(join(target, 't.ibd.lz4'), execFileSync('lz4', ['-c'], { input: content }))
    const options = {
      program,
      toolVersion: '2.4.29',
      directory: target,
      parallel: 1,
      innerSuffixes: ['.lz4' as const],
      key: null,
    }
    const done = run(family.decompress(options)!)
    expect(judged('decompress', done)).toBeNull()
    expect(only(eventsOf(family.grammar(), done.stderr), 'file_done')).toHaveLength(1)
    expect(readdirSync(target)).toEqual(['t.ibd'])
    expect(readFileSync(join(target, 't.ibd')).equals(content)).toBe(true)
  })

  test('a recovery that never ends goes on flooding until it is killed', async () => {
    const { file, args } = prepare(extracted(full()))
    const env = {
      ...process.env,
      REPLAY_TRANSCRIPT: transcriptDir('xtrabackup/8.4.0-stalled-small-pool'),
      REPLAY_SPEED: '10000',
    }
    const child = spawn(file, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
    const grammar = family.grammar()
    let starved = 0
    let text = ''
    for await (const piece of child.stderr) {
      text += piece
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      starved += lines.flatMap(line => [...grammar(line, true)]).filter(({ type }) => type === 'starved').length
      if (starved > 800) break
    }
    const ended = new Promise(resolve => child.once('exit', (_, signal) => resolve(signal)))
    child.kill('SIGKILL')
    expect(await ended).toBe('SIGKILL')
    expect(starved).toBeGreaterThan(800)
  })
})
