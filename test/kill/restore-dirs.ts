import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  createReadStream,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, inject, onTestFinished } from 'vitest'
import type { RestoreFlags } from '../../src/config/load.ts'
import { acquireLock, lockHolders } from '../../src/process/lock.ts'
import { isAlive } from '../../src/process/proc-stat.ts'
import type { RestoreState, RunningTool } from '../../src/restore/state/state.ts'
import { processesAt } from '../integration/workspace.ts'
import type { AgentRequest, Crash } from './agent.ts'
import { hashOf, type TruthName, tablesOf } from './datadir.ts'
import { expectOneTrace, type JournalLine, readJournal } from './journal.ts'

/** A folder for one restore: datadir, state dir, the journal of all its agents. It goes with the test. */
export interface Place {
  dir: string
  datadir: string
  stateDir: string
  /** Starts an agent, with a crash or without. */
  start(request: Request, crash?: Crash | null): RunningAgent
  /** Starts it with each of the crashes in turn, which must hit, then without, to its end. */
  survive(request: Request, crashes: readonly Crash[]): Promise<Ended>
  state(): RestoreState
  journal(): JournalLine[]
}

export interface Request {
  sources: readonly string[]
  flags?: RestoreFlags
  /** Standard input: a file's bytes pumped into a pipe, or the file itself. */
  stdin?: { pipe: string } | { file: string }
}

export interface Ended {
  code: number | null
  signal: string | null
  stderr: string
  elapsedMs: number
}

export interface RunningAgent {
  child: ChildProcess
  ended: Promise<Ended>
}

const LONGEST_RUN_MS = 60_000

export function place(base = tmpdir()): Place {
  const dir = mkdtempSync(join(base, 'ra-kill-'))
  chmodSync(dir, 0o755) // a start check runs as the owner
  const [datadir, stateDir, journal] = [join(dir, 'data'), join(dir, 'state'), join(dir, 'journal')]
  onTestFinished(async () => {
    for (const { pid } of processesAt(dir)) process.kill(pid, 'SIGKILL')
    while (processesAt(dir).length > 0) await sleep(20)
    rmSync(dir, { recursive: true, force: true })
  })
  const start: Place['start'] = ({ sources, flags, stdin }, crash = null) =>
    startAgent(
      {
        crash,
        journal,
        flags: {
          source: sources,
          datadir,
          state_dir: stateDir,
          use_memory: '32M',
          retry_delay: '100ms',
          ...flags,
        },
      },
      stdin,
    )
  const read = (): RestoreState => JSON.parse(readFileSync(join(stateDir, 'state.json'), 'utf8'))
  return {
    dir,
    datadir,
    stateDir,
    start,
    async survive(request, crashes) {
      // Those that were really stopped: a move-back of milliseconds may have ended before the signal came.
      let stopped: readonly RunningTool[] = []
      for (const crash of crashes) {
        const ended = await start(request, crash).ended
        if (!crash.kills.some(victim => victim === 'agent' || victim === 'power')) return ended
        expect(ended, 'the crash did not come').toMatchObject({ signal: 'SIGKILL' })
        if (crash.kills.includes('stop'))
          stopped = read().tools.filter(({ pid, startTicks }) => isAlive(pid, startTicks))
      }
      const last = start(request)
      // A tool that somebody has stopped is not continued by us: it is adopted, and waited for.
      if (stopped.length > 0) {
        await sleep(1000)
        expect(last.child.exitCode, 'did not wait for the stopped tool').toBe(null)
        for (const { pgid, pid, startTicks } of stopped) if (isAlive(pid, startTicks)) process.kill(-pgid, 'SIGCONT')
      }
      return last.ended
    },
    state: read,
    journal: () => readJournal(journal),
  }
}

function startAgent(request: AgentRequest, stdin: Request['stdin']): RunningAgent {
  const startedAtMs = performance.now()
  const fd = stdin && 'file' in stdin ? openSync(stdin.file, 'r') : null
  const child = spawn(process.execPath, [join(import.meta.dirname, 'agent.ts')], {
    stdio: [fd ?? (stdin ? 'pipe' : 'ignore'), 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, KILL_TEST: JSON.stringify(request) },
  })
  if (fd !== null) closeSync(fd)
  // An agent that dies leaves a broken pipe: that is what is tested.
  if (stdin && 'pipe' in stdin) pipeline(createReadStream(stdin.pipe), child.stdin!).catch(() => {})
  let stderr = ''
  child.stderr!.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const guard = setTimeout(() => child.kill('SIGABRT'), LONGEST_RUN_MS)
  const ended = once(child, 'exit').then(([code, signal]) => {
    clearTimeout(guard)
    return { code, signal, stderr, elapsedMs: performance.now() - startedAtMs }
  })
  return { child, ended }
}

/** It ended well, left nothing, and the data are those of the backup. */
export async function expectRestored(
  at: Place,
  ended: Ended,
  truth: TruthName,
  kept: readonly string[] = [],
): Promise<void> {
  expect(ended, ended.stderr).toMatchObject({ code: 0, signal: null })
  expect(at.state()).toMatchObject({ status: 'succeeded', phase: 'completed', error: null })
  expectNothingLeft(at, kept)
  await expectSameData(at.datadir, truth)
}

/** One trace, no open span, no process, no directory beside the datadir, both locks free. */
export function expectNothingLeft(at: Place, kept: readonly string[] = []): void {
  expect(at.state()).toMatchObject({
    spans: [],
    tools: [],
    cleanup: { created: [], partialDatadir: null, returnFilesTo: null },
  })
  expectOneTrace(at.journal())
  expect(processesAt(at.dir)).toEqual([])
  const expected = new Set(['data', 'state', 'journal', ...kept])
  expect(readdirSync(at.dir).filter(name => !expected.has(name))).toEqual([])
  expect(readdirSync(at.stateDir, { recursive: true }).filter(name => String(name).includes('fifo'))).toEqual([])
  for (const name of ['agent.lock', 'lock']) {
    const path = join(at.stateDir, name)
    if (!existsSync(path)) continue
    expect(lockHolders(path)).toEqual([])
    acquireLock(path).release()
  }
}

/**
 * A restore ends in the same bytes however it came there, but where the order of work shows in InnoDB's own files;
 * there the tables decide.
 */
async function expectSameData(datadir: string, truth: TruthName): Promise<void> {
  const { hash, tables } = inject('truths')[truth]
  if (hashOf(datadir) !== hash) expect(await tablesOf(datadir)).toEqual(tables)
}
