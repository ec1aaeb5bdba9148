import { stat } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ErrorRecord, RestoreError } from '../../errors.ts'
import type { Line } from '../../process/line-splitter.ts'
import { combineSamples, createSampler, NO_WORK } from '../../process/proc-sample.ts'
import { isAlive } from '../../process/proc-stat.ts'
import { followStderr } from '../../process/stderr-tail.ts'
import { type Exit, readExit } from '../../process/tool-exit.ts'
import type { TransferProgress } from '../../source/transfer/stats.ts'
import type { Command } from '../../tool/command.ts'
import type { Grammar, ToolEvent } from '../../tool/events.ts'
import { type Complaint, type Failure, type Judgement, judgeExit, type ToolPhase } from '../../tool/judge-exit.ts'
import { dispatch, type RestoreContext } from '../context.ts'
import { filesUnder } from '../plan/describe-backup.ts'
import type { RunId } from '../state/runs.ts'
import type { RunningTool } from '../state/state.ts'

/** One or more joined tools that do one piece of work together. */
export interface ToolRun {
  id: RunId
  stages: readonly { command: Command; grammar: Grammar }[]
  /** Judges the ends of all stages together; `stage` is the index of the one at fault. */
  judge: (results: readonly RunResult[]) => (Judgement & { stage: number }) | null
  /** A function that opens the first stage's descriptor when the run starts; or `pipe`: `feed` writes the bytes. */
  stdin: (() => number) | 'pipe' | 'ignore'
  cwd?: string
  /** TMPDIR of the tools, on the file system of the target dir. It exists during the run. */
  tempDir?: string
  feed?: (stdin: Writable) => Promise<void>
  /** Bytes of the source read so far. */
  sourcePosition?: (first: RunningTool) => number | null
  /** How the transfer process goes that brings the bytes; null while it has not said so. */
  transfer?: () => TransferProgress | null
  /** Gets all events of the tools, for later checks; of an adopted tool from its start. */
  onEvents?: (events: readonly ToolEvent[]) => void
}

export interface RunResult {
  program: string
  exit: Exit
  /** The first `failure` events, oldest first. */
  failures: readonly Failure[]
  /** The first errors with no known meaning, and a crash. */
  complaints: readonly Complaint[]
  saidCompletedOk: boolean
  lastWords: readonly string[]
}

export type WatchedTool = RunningTool & { exited: Promise<Exit> }

/** Judges a run of a single tool. */
export const judgeOne =
  (phase: ToolPhase): ToolRun['judge'] =>
  ([result]) => {
    const judgement = judgeExit({ ...result!, phase })
    return judgement && { ...judgement, stage: 0 }
  }

/** Lines of one read that observers get; the others are only counted. */
const LINES_PER_READ = 100
const MOST_FAILURES = 100
const MOST_LAST_WORDS = 200

/** Follows one tool. Resolves when it has ended and its stderr is read to the end. */
export async function watchTool(
  context: RestoreContext,
  tool: WatchedTool,
  run: ToolRun,
  stage: number,
): Promise<RunResult> {
  const { grammar } = run.stages[stage]!
  const lastWords: string[] = []
  const failures: Failure[] = []
  const complaints: Complaint[] = []
  let saidCompletedOk = false

  const understand = (lines: readonly Line[]): ToolEvent[] => {
    const events: ToolEvent[] = []
    for (const { text, complete } of lines) {
      if (complete && lastWords.push(text) > MOST_LAST_WORDS) lastWords.shift()
      for (const event of grammar(text, complete)) {
        if (event.type === 'failure' && failures.length < MOST_FAILURES) failures.push(event)
        if (event.type === 'complaint' && isKept(event, complaints.length)) complaints.push(event)
        if (event.type === 'completed_ok') saidCompletedOk = true
        // InnoDB repeats this warning hundreds of times a second: one event is enough.
        if (event.type !== 'starved' || events.at(-1)?.type !== 'starved') events.push(event)
      }
    }
    run.onEvents?.(events)
    return events
  }

  const tail = followStderr(
    tool.stderrPath,
    (lines, { lineStart }) => {
      const events = understand(lines)
      if (lineStart <= tool.readOffset) return // an earlier agent dispatched these
      const whole = lines.filter(line => line.complete)
      dispatch(context, {
        type: 'tool_lines',
        position: run.id.element,
        id: tool.id,
        tool: tool.name,
        readOffset: lineStart,
        events,
        lines: whole.slice(0, LINES_PER_READ).map(line => line.text),
        count: whole.length,
        dropped: Math.max(0, whole.length - LINES_PER_READ),
      })
    },
    { border: tool.readOffset },
  )
  const exit = await tool.exited
  await tail.stop()
  const result = { program: tool.name, exit, failures, complaints, saidCompletedOk, lastWords }
  const { code: exitCode, signal } = exit
  dispatch(context, { type: 'tool_ended', id: tool.id, exitCode, signal, error: errorOf(exit, result) })
  return result
}

/** A crash is always kept: it comes last. */
const isKept = ({ level }: Complaint, kept: number): boolean =>
  level === 'crash' || (level === 'error' && kept < MOST_FAILURES)

/** The error of the tool's own span: that it failed, not why. */
function errorOf(exit: Exit, { program, failures, lastWords }: RunResult): ErrorRecord | null {
  if (exit.code === 0) return null
  const message = exit.signal === null ? `${program} exited ${exit.code}` : `${program} was ended by ${exit.signal}`
  return new RestoreError(failures[0]?.code ?? 'tool_killed', message, { lastWords }).record
}

const SAMPLE_MS = 1000

/** Samples all tools of a run as one, once a second and once more when stopped. */
export function sampleTools(context: RestoreContext, tools: readonly WatchedTool[], run: ToolRun): () => void {
  const look = createSampler(tools)
  // The counters begin with this agent: what an adopted tool did before does not count again.
  let before = tools.some(tool => tool.readOffset > 0) ? look() : NO_WORK
  let linesBefore = linesOf(context)
  const take = () => {
    const sample = look()
    const lines = linesOf(context)
    dispatch(context, {
      type: 'sample',
      position: run.id.element,
      sample,
      lines: lines - linesBefore,
      delta: combineSamples(sample, before, (value, earlier) =>
        value === null ? null : Math.max(0, value - (earlier ?? 0)),
      ),
      sourceReadBytes: run.sourcePosition?.(tools[0]!) ?? null,
      transfer: run.transfer?.() ?? null,
    })
    before = combineSamples(sample, before, (value, earlier) => value ?? earlier)
    linesBefore = lines
  }
  const timer = setInterval(take, SAMPLE_MS)
  return () => {
    clearInterval(timer)
    take()
  }
}

const linesOf = ({ store }: RestoreContext): number =>
  Object.values(store.state.counters.lines).reduce((sum, count) => sum + count, 0)

const WALK_PAUSE_MS = 2000

/** The bytes below a directory that is being filled; walked again 2 s after each walk. */
export function meterTree(directory: string): { bytes: () => number | null; stop: () => void } {
  let bytes: number | null = null
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  const walk = async () => {
    let sum = 0
    try {
      for await (const path of filesUnder(directory)) sum += (await stat(path)).size
      bytes = sum
    } catch {
      // A file disappeared during the walk; the next walk counts again.
    }
    if (!stopped) timer = setTimeout(walk, WALK_PAUSE_MS)
  }
  timer = setTimeout(walk, WALK_PAUSE_MS)
  return {
    bytes: () => bytes,
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}

const LOOK_MS = 100

/**
 * Waits for a tool that is not a child of this process. If its wrapper was killed there is no status: SIGKILL is
 * assumed.
 */
export async function waitForExit({ pid, startTicks, statusPath, exit }: RunningTool): Promise<Exit> {
  if (exit !== null) return exit
  for (;;) {
    // In this order: the wrapper writes the status before it ends.
    const alive = isAlive(pid, startTicks)
    const found = readExit(statusPath)
    if (found !== null) return found
    if (!alive) return { code: null, signal: 'SIGKILL' }
    await sleep(LOOK_MS)
  }
}
