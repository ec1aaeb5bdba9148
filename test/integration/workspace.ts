import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa, execaSync } from 'execa'
import { expect, inject, onTestFinished } from 'vitest'
import { type ErrorCode, exitCodeOf } from '../../src/errors.ts'
import type { RestoreState } from '../../src/restore/state/state.ts'
import { checkoutForAll } from '../support/checkout-for-all.ts'
import { until } from '../support/until.ts'

/** A folder for one test with a datadir and a state dir in it; everything goes with the test. */
export interface Workspace {
  dir: string
  datadir: string
  stateDir: string
  /** `restore SOURCES… --datadir … --state-dir …` and more. */
  start(sources: readonly string[], options?: RunOptions): Agent
  restore(sources: readonly string[], options?: RunOptions): Promise<Ended>
  /** state.json as it is now; null where there is none yet. */
  state(): RestoreState | null
}

export interface RunOptions {
  args?: readonly string[]
  env?: Readonly<Record<string, string>>
  /** A file for standard input, opened by us and inherited; or bytes to pump through a pipe. */
  stdinFile?: string
  stdin?: Readable
  /** Another user than ours, whom we may not be able to let into the checkout. */
  uid?: number
}

export interface Ended {
  code: number | null
  signal: string | null
  stdout: string
  stderr: string
  elapsedMs: number
}

export interface Agent {
  pid: number
  child: ChildProcess
  ended: Promise<Ended>
}

export const PROJECT = join(import.meta.dirname, '../..')

/** The agent as a user starts it, from the checkout; no telemetry unless `env` asks for it. */
export function startAgent(args: readonly string[], { env, stdinFile, stdin, uid }: RunOptions = {}): Agent {
  const startedAtMs = performance.now()
  const inherited = Object.entries(process.env).filter(([name]) => !/^(OTEL_|TRACE|BAGGAGE|NODE_|VITEST)/.test(name))
  const fd = stdinFile === undefined ? null : openSync(stdinFile, 'r')
  const [node, main] =
    uid === undefined ? [process.execPath, join(PROJECT, 'src/main.ts')] : checkoutForAll(inject('sharedFolder'))
  const child = spawn(node, [main, ...args], {
    stdio: [fd ?? (stdin ? 'pipe' : 'ignore'), 'pipe', 'pipe'],
    env: { ...Object.fromEntries(inherited), ...env },
    ...(uid !== undefined && { uid, gid: uid, cwd: '/' }),
  })
  if (fd !== null) closeSync(fd)
  // The agent may refuse before it has read all: its answer counts, not the broken pipe.
  if (stdin) pipeline(stdin, child.stdin!).catch(() => {})
  const result = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name]!.setEncoding('utf8').on('data', text => {
      result[name] += text
    })
  const ended = once(child, 'close').then(([code, signal]) => ({
    ...result,
    code: code as number | null,
    signal: signal as string | null,
    elapsedMs: performance.now() - startedAtMs,
  }))
  return { pid: child.pid!, child, ended }
}

export function workspace(): Workspace {
  const dir = mkdtempSync(join(tmpdir(), 'ra-test-'))
  chmodSync(dir, 0o755) // servers and agents of other users must get in
  const [datadir, stateDir] = [join(dir, 'data'), join(dir, 'state')]
  onTestFinished(async () => {
    for (const { pid } of processesAt(dir)) process.kill(pid, 'SIGKILL')
    while (processesAt(dir).length > 0) await sleep(20)
    rmSync(dir, { recursive: true, force: true })
  })
  const start: Workspace['start'] = (sources, options = {}) =>
    startAgent(['restore', ...sources, '--datadir', datadir, '--state-dir', stateDir, ...(options.args ?? [])], options)
  return {
    dir,
    datadir,
    stateDir,
    start,
    restore: (sources, options) => start(sources, options).ended,
    state() {
      const path = join(stateDir, 'state.json')
      return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null
    },
  }
}

/**
 * Running processes that name the folder on their command line, work in it, or have a file of it open; not this one.
 */
export function processesAt(dir: string): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap(pid => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()
        const links = [`/proc/${pid}/cwd`, ...readdirSync(`/proc/${pid}/fd`).map(fd => `/proc/${pid}/fd/${fd}`)]
        const isThere = command.includes(dir) || links.some(link => readlinkSync(link).startsWith(dir))
        return isThere ? [{ pid: Number(pid), command }] : []
      } catch {
        return [] // ended while we looked
      }
    })
}

/** Waits for a running process at the folder whose command line matches. */
export async function processAt(dir: string, command: RegExp, timeoutMs = 20_000): Promise<number> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await sleep(2)) {
    const found = processesAt(dir).find(running => command.test(running.command))
    if (found) return found.pid
  }
  throw new Error(`no process ${command} within ${timeoutMs} ms`)
}

export function expectSuccess(ended: Ended): void {
  expect(ended.stderr).not.toMatch(/error|warning|hint:/)
  expect(ended).toMatchObject({ code: 0, signal: null })
}

/**
 * It ended with this error, told it as it should, and left nothing: no process, no debris beside `kept` (what the test
 * itself made), and a datadir that is as it was.
 */
export function expectFailure(
  { dir, datadir }: Pick<Workspace, 'dir' | 'datadir'>,
  ended: Ended,
  code: ErrorCode,
  { kept = [] as readonly string[], datadirBefore = null as readonly string[] | null } = {},
): void {
  const said = `${ended.stderr}\n${ended.stdout}`
  expect(ended.stderr, said).toMatch(new RegExp(`^error ${code}: \\S`, 'm'))
  expect(ended.stderr, said).toMatch(/^hint: \S/m)
  expect(ended.stderr, said).not.toMatch(/^\s+at .*(?:\.ts|node:)/m)
  expect(ended, said).toMatchObject({ code: exitCodeOf(code), signal: null })
  expect(existsSync(datadir) ? readdirSync(datadir).sort() : null).toEqual(datadirBefore)
  const allowed = new Set([...kept, 'state', ...(datadirBefore === null ? [] : [basename(datadir)])])
  expect(readdirSync(dir).filter(name => !allowed.has(name))).toEqual([])
  expect(processesAt(dir)).toEqual([])
}

/** Of a run that got as far as having a run dir: nothing large or temporary is in the state dir. */
export function expectSmallStateDir({ stateDir }: Workspace): void {
  const { stdout } = execaSync('du', ['-sk', stateDir])
  expect(Number.parseInt(stdout, 10)).toBeLessThan(1024)
  expect(readdirSync(stateDir, { recursive: true }).filter(name => String(name).includes('fifo'))).toEqual([])
}

/**
 * A tool for `--tool-path` that is the real one, but first stops itself when its command line has `word` in it, as
 * `kill -STOP` does: it runs on when the test continues it.
 */
export function stoppingTool(at: Pick<Workspace, 'dir'>, word: string): string {
  const path = join(at.dir, 'mariadb-backup')
  writeFileSync(path, `#!/bin/sh\ncase "$*" in *${word}*) kill -STOP $$;; esac\nexec mariadb-backup "$@"\n`, {
    mode: 0o755,
  })
  return path
}

/** Waits until that tool has stopped itself; gives its pid. */
export async function stoppedTool({ dir }: Pick<Workspace, 'dir'>): Promise<number> {
  const tool = join(dir, 'mariadb-backup')
  const find = () =>
    processesAt(dir).find(({ pid, command }) => command.startsWith(`/bin/sh ${tool}`) && statOf(pid) === 'T')
  return (await until(find, 'the stopped tool')).pid
}

const statOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '')[0]

/** A small file system of its own. Tests of full disks need the right to mount; without it they fail. */
export async function mountTmpfs(path: string, sizeBytes: number, mostFiles?: number): Promise<void> {
  const inodes = mostFiles === undefined ? '' : `,nr_inodes=${mostFiles}`
  await execa('mkdir', ['-p', path])
  try {
    await execa('mount', ['-t', 'tmpfs', '-o', `size=${Math.ceil(sizeBytes / 4096) * 4096}${inodes}`, 'tmpfs', path])
  } catch (cause) {
    throw new Error(`this test fills a disk of its own and needs the right to mount a tmpfs: run it as root`, { cause })
  }
  onTestFinished(async () => {
    await execa('umount', ['--lazy', path])
  })
}
