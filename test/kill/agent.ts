/**
 * An agent that dies as it is told to: the restore command without a view, with an observer that keeps a journal and
 * one that kills.
 *
 * A crash comes at a state write (the n-th rename of state.json does not happen, so all that was done since the write
 * before is not in the file) or after an event (its state is on disk, its spans are handed over, nothing has followed).
 * Both need no hook in the product: observers are told of every state, and node:fs is patched here.
 */

import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { basename } from 'node:path'
import { loadRestoreOptions, type RestoreFlags } from '../../src/config/load.ts'
import { exitCodeOf, toRestoreError } from '../../src/errors.ts'
import { listPids, readProcStat } from '../../src/process/proc-stat.ts'
import type { RestoreSession } from '../../src/restore/run-session.ts'
import { startSession } from '../../src/restore/session.ts'
import { runName } from '../../src/restore/state/runs.ts'
import type { RestoreEvent, RestoreState, RunningTool } from '../../src/restore/state/state.ts'
import { randomTrace } from '../../src/telemetry/off.ts'
import { detailOf, type JournalLine } from './journal.ts'

/** Where it dies. */
export type Moment =
  /** Before the n-th write of state.json takes effect (from 1); torn: the new file was half written. */
  | { write: number; torn?: boolean }
  /** After the n-th (1) event of this type whose detail is this; and so many ms later. */
  | { event: RestoreEvent['type']; detail?: string; nth?: number; afterMs?: number }

/**
 * What dies, in this order; `stop` is SIGSTOP to the tools, `detach` lets go of the restore, and the agent lives on for
 * a while.
 */
export type Victim = 'detach' | 'tools' | 'wrappers' | 'groups' | 'stop' | 'agent' | 'power'

export interface Crash {
  at: Moment
  kills: readonly Victim[]
  /** Only tools of this run die. */
  of?: string
  /** At every such moment, not only the first. */
  always?: boolean
}

export interface AgentRequest {
  flags: RestoreFlags
  journal: string
  crash: Crash | null
}

const { flags, journal, crash } = JSON.parse(process.env.KILL_TEST!) as AgentRequest
let latest: RestoreState | null = null
let durable: string | null = null
let session: RestoreSession | null = null

/** As long as hooks and telemetry may take. */
const LINGER_MS = 4000

function watchWrites(): void {
  const { renameSync, fsyncSync } = fs
  let writes = 0
  let synced = false
  fs.fsyncSync = fd => {
    synced = true
    fsyncSync(fd)
  }
  fs.renameSync = (from, to) => {
    if (basename(String(to)) !== 'state.json') return renameSync(from, to)
    writes += 1
    if (crash && 'write' in crash.at && crash.at.write === writes) {
      if (crash.at.torn) fs.truncateSync(from, Math.floor(fs.statSync(from).size / 2))
      strike()
    }
    if (synced) durable = fs.readFileSync(from, 'utf8')
    synced = false
    renameSync(from, to)
  }
  syncBuiltinESMExports()
}

let struck = false

function strike(): void {
  struck = true
  for (const victim of crash!.kills) {
    const tools =
      latest?.tools.filter(({ exit, run }) => exit === null && runName(run) === (crash!.of ?? runName(run))) ?? []
    if (victim === 'groups') for (const { pgid } of tools) send(-pgid, 'SIGKILL')
    if (victim === 'wrappers') for (const { pid } of tools) send(pid, 'SIGKILL')
    if (victim === 'tools') for (const pid of tools.flatMap(programsOf)) send(pid, 'SIGKILL')
    if (victim === 'stop') for (const { pgid } of tools) send(-pgid, 'SIGSTOP')
    if (victim === 'power') losePower(tools)
    if (victim === 'detach') void session!.detach()
    if (victim === 'agent' && crash!.kills.includes('detach')) setTimeout(die, LINGER_MS)
    else if (victim === 'agent') die()
  }
}

/** Nothing runs any more, and of the state only what was flushed to the disk is there, from another boot. */
function losePower(tools: readonly RunningTool[]): never {
  for (const { pgid } of tools) send(-pgid, 'SIGKILL')
  const { stateDir } = latest!.options
  if (durable !== null)
    fs.writeFileSync(`${stateDir}/state.json`, JSON.stringify({ ...JSON.parse(durable), bootId: 'the boot before' }))
  fs.writeFileSync(`${stateDir}/state.json.tmp`, '{"schema":1,"resto\0\0\0\0')
  die()
}

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** The tool itself, below its wrapper; it may not have been started yet. */
function programsOf({ pgid, pid }: RunningTool): number[] {
  for (let tries = 0; tries < 100; tries++) {
    const found = listPids().filter(other => other !== pid && readProcStat(other)?.pgid === pgid)
    if (found.length > 0) return found
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
  }
  return []
}

let seen = 0

function observe(state: RestoreState, event: RestoreEvent): void {
  latest = state
  const line: JournalLine = {
    pid: process.pid,
    atMs: event.atMs,
    type: event.type,
    detail: detailOf(event),
    phase: state.phase,
    position: state.position,
    chainLength: state.chainLength,
    phasePercent: state.progress.phasePercent,
    memoryBytes: state.plan?.memory?.bytes ?? null,
    spans: state.endedSpans.map(span => ({ ...span, traceId: state.trace.traceId })),
  }
  fs.appendFileSync(journal, `${JSON.stringify(line)}\n`)
  if ((struck && !crash?.always) || crash === null || !('event' in crash.at) || crash.at.event !== event.type) return
  if (crash.at.detail !== undefined && crash.at.detail !== line.detail) return
  seen += 1
  if (seen !== (crash.at.nth ?? 1) && !crash.always) return
  if (crash.at.afterMs === undefined) strike()
  else setTimeout(strike, crash.at.afterMs)
}

watchWrites()
try {
  const options = await loadRestoreOptions(flags, null, { cwd: '/', env: process.env, isRoot: true, nowMs: Date.now() })
  session = await startSession(options, {
    observers: [{ observe }],
    beginTrace: () => ({ trace: randomTrace(), link: null }),
    childEnv: () => ({}),
    warn: text => process.stderr.write(`warning: ${text}\n`),
  })
  const { error } = await session.done
  if (error) process.stderr.write(`error ${error.code}: ${error.message}\n${error.lastWords.join('\n')}\n`)
  process.exitCode = error ? exitCodeOf(error.code) : 0
} catch (thrown) {
  const error = toRestoreError(thrown)
  process.stderr.write(`error ${error.code}: ${error.message}\n${error.code === 'internal' ? error.stack : ''}\n`)
  process.exitCode = exitCodeOf(error.code)
}
