import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { runCli } from '../../src/cli/run-cli.ts'
import { filesOf, PLAIN, replayEnv, TRANSCRIPTS, writeXtrabackup, XTRABACKUP } from '../fixtures/xtrabackup-backup.ts'
import { captureOutput } from '../support/capture-output.ts'
import { rangeServer } from '../support/range-server.ts'

/** The commands within this process, on a small backup of xtrabackup's and the stand-ins for its programs. */
const said = captureOutput()
let dir: string
let backup: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ra-cli-'))
  backup = writeXtrabackup(join(dir, 'backup.xbstream'))
  for (const [name, value] of Object.entries(replayEnv())) vi.stubEnv(name, value)
})

afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(dir, { recursive: true, force: true })
})

const restore = (...args: string[]) =>
  runCli([
    ...['restore', backup, '--datadir', join(dir, 'data'), '--state-dir', join(dir, 'state')],
    ...['--tool-path', XTRABACKUP, '--retries', '0', ...args],
  ])
const state = () => JSON.parse(readFileSync(join(dir, 'state/state.json'), 'utf8'))

describe('restore', () => {
  test('restores, and tells where everything is', async () => {
    expect(await restore()).toBe(0)
    expect(said.stderr).toContain(`restored ${join(dir, 'data')}`)
    expect(said.stderr.match(/^restored /gm)).toHaveLength(1)
    expect(said.stderr).toContain('binlog.000042 position 1337')
    expect(said.stderr).toMatch(/note: prepare may take .*iB of memory: .*(?:available|cannot use more)/)
    expect(readdirSync(join(dir, 'data'))).toContain('ibdata1')
    expect(state()).toMatchObject({ status: 'succeeded', attempt: 1, spans: [], tools: [] })
  })

  test('with --json tells all of it as objects on stdout', async () => {
    expect(await restore('--json')).toBe(0)
    expect(said.stderr).toBe('')
    for (const line of said.stdout.trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ schema: 1 })
    const summaries = said.stdout.match(/.*"type":"summary".*/g)
    expect(summaries).toHaveLength(1)
    expect(JSON.parse(summaries![0]).run_dir).toContain(join(dir, 'state'))
  })

  test('quiet says nothing, until it fails', async () => {
    expect(await restore('--quiet')).toBe(0)
    expect(said).toEqual({ stdout: '', stderr: '' })
    expect(await restore('--quiet')).toBe(10)
    expect(said.stderr).toMatch(/^error datadir_not_empty: /)
  })

  test('tries again what may pass, and gives up after as often as is asked for', async () => {
    vi.stubEnv('REPLAY_FAIL', 'disk-full')
    expect(await restore('--retries', '2')).toBe(40)
    expect(state()).toMatchObject({ attempt: 1, error: { code: 'disk_full' } })
    expect(readdirSync(dir).sort()).toEqual(['backup.xbstream', 'state'])
  })

  test('tries again after a tool was killed, with a pause between', async () => {
    const done = restore('--retries', '1', '--retry-delay', '10ms')
    const killed = new Set<number>()
    const timer = setInterval(() => {
      const tool = existsSync(join(dir, 'state/state.json')) ? state().tools[0] : undefined
      if (tool?.run.kind !== 'prepare' || tool.exit !== null || killed.size > 0) return
      killed.add(tool.pgid)
      process.kill(-tool.pgid, 'SIGKILL')
    }, 5)
    const exitCode = await done.finally(() => clearInterval(timer))
    expect(killed.size).toBe(1)
    expect(exitCode, said.stderr).toBe(0)
    expect(state()).toMatchObject({ status: 'succeeded', attempt: 2, failures: 1 })
  })

  test('OTEL_CONFIG_FILE: one loud notice, in the restore and on stderr', async () => {
    vi.stubEnv('OTEL_CONFIG_FILE', '/etc/otel.yaml')
    expect(await restore('--json')).toBe(0)
    const notice =
      'telemetry: OTEL_CONFIG_FILE is not supported: the file is ignored, and the other OTEL_* variables apply'
    expect(state().notices.filter((text: string) => text.includes('OTEL_CONFIG_FILE'))).toEqual([notice])
    expect(said.stderr.split('OTEL_CONFIG_FILE')).toHaveLength(2)
  })

  test('copies a directory, and leaves it as it was', async () => {
    const folder = join(dir, 'folder')
    for (const [path, content] of Object.entries(filesOf(PLAIN))) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), content)
    }
    const before = readdirSync(folder, { recursive: true })
    backup = folder
    expect(await restore()).toBe(0)
    expect(readdirSync(folder, { recursive: true })).toEqual(before)
    expect(readdirSync(join(dir, 'data'))).toContain('ibdata1')
  })

  test('falls back to an older backup where one is configured', async () => {
    const older = writeXtrabackup(join(dir, 'older.xbstream'))
    writeFileSync(backup, readFileSync(backup).subarray(0, 600_000))
    writeFileSync(join(dir, 'restore.yaml'), `older_backups:\n  - ${older}\n`)
    expect(await restore('--config', join(dir, 'restore.yaml'))).toBe(0)
    expect(state()).toMatchObject({ status: 'succeeded', backupIndex: 1, attempt: 2 })
  })

  test('of a stream in place: usage, and the stream is untouched', async () => {
    const before = readFileSync(backup)
    expect(await restore('--in-place')).toBe(2)
    expect(said.stderr).toMatch(/error usage: --in-place needs a backup directory/)
    expect(readFileSync(backup)).toEqual(before)
  })

  test('ends with the error that the state has', async () => {
    vi.stubEnv('REPLAY_FAIL', 'no-metadata')
    expect(await restore()).toBe(29)
    expect(said.stderr).toMatch(/^error backup_incomplete: .*\n(?: {2}.*\n)+hint: /m)
    expect(state()).toMatchObject({ phase: 'failed_basebackup', status: 'failed', cleanup: { created: [] } })
  })

  test('that fails takes the folders away that it made on the way', async () => {
    vi.stubEnv('REPLAY_FAIL', 'no-metadata')
    mkdirSync(join(dir, 'deep'))
    const places = ['--datadir', join(dir, 'deep/a/b/data'), '--target-dir', join(dir, 'other/c/target')]
    expect(await restore(...places)).toBe(29)
    expect(readdirSync(dir).sort()).toEqual(['backup.xbstream', 'deep', 'state'])
    expect(readdirSync(join(dir, 'deep'))).toEqual([])
  })

  test('as a dry run prints the plan and writes nothing', async () => {
    const us = `${process.getuid!()}:${process.getgid!()}`
    // A server is never started as root.
    const owner = process.getuid!() === 0 ? 'nobody:nogroup' : us
    expect(await restore('--dry-run', '--start-check', '--owner', owner)).toBe(13)
    expect(said.stderr).toMatch(/error tool_missing: --start-check needs mysqld/)
    said.stderr = ''
    expect(await restore('--dry-run', '--owner', us)).toBe(0)
    expect(said.stdout).toMatch(/xtrabackup 8\.0\.35-31/)
    expect(said.stdout).toMatch(/ 1\. .*xbstream -x -C .*\n 2\. .*xtrabackup --prepare .*\n 3\. .*--move-back/)
    expect(said.stdout).toMatch(new RegExp(` 1\\. .* < ${backup}$`, 'm'))
    expect(said.stdout).toContain(`give ${join(dir, 'data')} to ${us}`)
    expect(readdirSync(dir)).toEqual(['backup.xbstream'])
  })

  test.each([
    [2, ['--state-dir', '/dev/full/state']],
    [56, ['--owner', '99999999999:0']],
    [56, ['--owner', 'nobody:4294967295']],
  ])('as a dry run finds what would end it: %i', async (code, args) => {
    expect(await restore('--dry-run', ...args)).toBe(code)
  })

  test('as a dry run with --json prints the plan as an object', async () => {
    expect(await restore('--dry-run', '--json')).toBe(0)
    expect(JSON.parse(said.stdout)).toMatchObject({ schema: 1, type: 'plan', plan: { tool: { family: 'xtrabackup' } } })
  })
})

describe('inspect', () => {
  test('says what a backup is', async () => {
    expect(await runCli(['inspect', backup])).toBe(0)
    expect(said.stdout).toMatch(/made by +xtrabackup 8\.0\.35-31/)
    expect(said.stdout).toMatch(/type +full/)
    expect(said.stdout).toMatch(/binlog +binlog\.\d+ position \d+/)
    expect(said.stdout).toMatch(/complete +yes/)
  })

  test('with --json as an object', async () => {
    expect(await runCli(['inspect', backup, '--json', '--full'])).toBe(0)
    const checkpoints = readFileSync(join(TRANSCRIPTS, PLAIN, 'xtrabackup_checkpoints'), 'utf8')
    expect(JSON.parse(said.stdout)).toMatchObject({
      type: 'backup',
      tool: 'xtrabackup',
      kind: 'full',
      last_lsn: Number(/last_lsn = (\d+)/.exec(checkpoints)![1]),
      complete: true,
      problem: null,
    })
  })

  test('of a damaged one gives what is known, and the exit code of what is wrong', async () => {
    writeFileSync(backup, readFileSync(backup).subarray(0, 600_000))
    expect(await runCli(['inspect', backup])).toBe(24)
    expect(said.stdout).toMatch(/made by +xtrabackup/)
    expect(said.stderr).toMatch(/^error source_truncated: /)
  })

  test('of what nothing was seen of says nothing', async () => {
    const locked = join(dir, 'locked')
    writeFileSync(locked, 'Salted__ and then bytes that only a key opens')
    expect(await runCli(['inspect', locked])).toBe(27)
    expect(said.stdout).toMatch(/packed in +openssl/)
    expect(said.stdout).not.toMatch(/complete|files are/)
    expect(await runCli(['inspect', '/etc/passwd'])).toBe(22)
    expect(said.stdout).not.toContain('nothing')
  })

  test('of one that was read whole does not promise that its end tells more', async () => {
    writeXtrabackup(backup, PLAIN, ({ xtrabackup_info, ...files }) => ({
      ...files,
      'xtrabackup_info.qp': xtrabackup_info!,
    }))
    expect(await runCli(['inspect', backup])).toBe(0)
    expect(said.stdout).toMatch(/complete +yes/)
    expect(said.stdout).toMatch(/unknown +.*server.*: in files that only the backup tool unpacks/)
  })

  test('of nothing: source_missing', async () => {
    expect(await runCli(['inspect', join(dir, 'none')])).toBe(20)
  })
})

describe('check', () => {
  const check = (...args: string[]) =>
    runCli(['check', '--state-dir', join(dir, 'state'), '--tool-path', XTRABACKUP, ...args])

  test('says that this machine can restore', async () => {
    expect(await check('--datadir', join(dir, 'data'))).toBe(0)
    expect(said.stdout).toMatch(/^ok +xtrabackup +8\.0\.35-31/m)
    expect(said.stdout).toMatch(/^ok +gzip/m)
    expect(said.stdout).toMatch(/^ok +memory/m)
    expect(said.stdout).toMatch(/^ok +open files +(\d+|Infinity), raised to/m)
    expect(said.stdout).toMatch(/^ok +datadir .*absent/m)
    expect(existsSync(join(dir, 'data'))).toBe(false)
  })

  test('with --json as an object, and gives the exit code of what is missing', async () => {
    writeFileSync(join(dir, 'data'), '')
    expect(await check('--datadir', join(dir, 'data'), '--json')).toBe(10)
    const { findings } = JSON.parse(said.stdout)
    expect(findings.find((finding: { what: string }) => finding.what === 'datadir')).toMatchObject({
      found: null,
      required: true,
      error: { code: 'datadir_not_empty' },
    })
  })

  test('does not call well what it warns of', async () => {
    vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', 'nonsense')
    expect(await check()).toBe(0)
    expect(said.stdout).toMatch(/^no +telemetry .*not a URL/m)
    expect(said.stdout).not.toMatch(/^ok.*not a URL/m)
  })

  test('names the telemetry endpoint that does not answer, without failing for it', async () => {
    vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', 'http://127.0.0.1:9')
    expect(await check()).toBe(0)
    expect(said.stdout).toMatch(/^no +OTLP traces +http:\/\/127\.0\.0\.1:9/m)
  })

  test('tells reach, rights and speed of sources', async () => {
    const server = await rangeServer(readFileSync(backup))
    expect(await check(server.url, backup)).toBe(0)
    const speed = /^ok {4}source +http:\S+, [\d.]+ \S+, answers in \d+ ms, [\d.]+ \S+iB\/s$/m
    expect(said.stdout).toMatch(speed)
    expect(said.stdout).toMatch(new RegExp(`^ok {4}source +${backup}, [\\d.]+ \\S+iB$`, 'm'))
  })

  test('a source that cannot be read fails with its own code, and the others are told all the same', async () => {
    const server = await rangeServer(readFileSync(backup))
    server.fault = () => ({ kind: 'status', status: 403, body: 'Forbidden' })
    expect(await check(server.url, 'ftp://x/y', backup, '--json')).toBe(33)
    const found = JSON.parse(said.stdout).findings.filter(({ what }: { what: string }) => what === 'source')
    expect(found.map(({ error }: { error: { code: string } | null }) => error?.code ?? null)).toEqual([
      'source_denied',
      'usage',
      null,
    ])
  })
})
