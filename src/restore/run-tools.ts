import { randomBytes } from 'node:crypto'
import { basename } from 'node:path'
import type { Writable } from 'node:stream'
import { type ErrorRecord, RestoreError, toRestoreError } from '../errors.ts'
import { endGroups } from '../process/kill-groups.ts'
import { createLastLines } from '../process/last-lines.ts'
import type { Line } from '../process/line-splitter.ts'
import { startPipeline } from '../process/pipeline.ts'
import { createSampler } from '../process/proc-sample.ts'
import type { StartedTool } from '../process/start-tool.ts'
import { followStderr } from '../process/stderr-tail.ts'
import type { Exit } from '../process/tool-exit.ts'
import type { ToolSample } from '../progress/progress.ts'
import { scrubArguments } from '../secrets.ts'
import type { Command } from '../tool/command.ts'
import type { Grammar, ToolEvent } from '../tool/events.ts'
import type { Failure, Judgement } from '../tool/judge-exit.ts'
import type { RestoreContext } from './context.ts'

/**
 * Runs one or more joined tools to their end, and turns all they say and do into events.
 *
 * Their lines come from files, every 100 ms; their CPU and I/O from /proc, once a second. Nothing here is in the tools'
 * way. When all have ended and their files are read to the end, the whole pipeline is judged: exit codes alone say too
 * little. An aborted restore ends the groups and rejects with the reason of the abort.
 */
export interface RunResult {
  program: string
  exit: Exit
  /** The first `failure` events, oldest first. */
  failures: readonly Failure[]
  saidCompletedOk: boolean
  lastWords: readonly string[]
}

export interface ToolRun {
  /** Names the run's files: `1-extract`. Unique within a restore's attempt. */
  label: string
  stages: readonly { command: Command; grammar: Grammar }[]
  /** What the ends of all stages mean together; `stage` is the index of the one to blame. */
  judge: (results: readonly RunResult[]) => (Judgement & { stage: number }) | null
  stdin: number | 'pipe' | 'ignore'
  cwd?: string
  /** Pumps the source's bytes where stdin is 'pipe'. */
  feed?: (stdin: Writable) => Promise<void>
  /** Bytes of the source read so far. */
  sourcePosition?: () => number | null
  /** What the run's tools said that later checks need. */
  onEvents?: (events: readonly ToolEvent[]) => void
}

const SAMPLE_MS = 1000
/** Lines handed to observers out of one read; the rest is counted as dropped. */
const LINES_PER_READ = 100
const MOST_FAILURES = 100

export async function runTools(context: RestoreContext, run: ToolRun): Promise<void> {
  context.signal.throwIfAborted()
  const spanIds = run.stages.map(() => randomBytes(8).toString('hex'))
  const pipeline = await startPipeline({
    label: run.label,
    stages: run.stages.map(({ command }, index) => ({
      name: basename(command.file),
      file: command.file,
      args: command.args,
      env: context.toolEnv(spanIds[index]!),
    })),
    stdin: run.stdin,
    runDir: context.runDir,
    lockFd: context.lock.fd,
    ...(run.cwd !== undefined && { cwd: run.cwd }),
  })
  const ended = pipeline.tools.map((tool, index) =>
    watchTool(context, tool, { ...run.stages[index]!, spanId: spanIds[index]!, fedByAgent: run.stdin === 'pipe' }, run),
  )
  const stopSampling = sampleTools(context, pipeline.tools, run)
  const abort = () => void endGroups(pipeline.tools)
  context.signal.addEventListener('abort', abort, { once: true })
  try {
    const fed = pipeline.stdin && run.feed ? run.feed(pipeline.stdin).catch(toRestoreError) : null
    const results = await Promise.all(ended)
    const feedError = await fed
    context.signal.throwIfAborted()
    const verdict = run.judge(results)
    // A tool that died first makes the pump fail too: its own words come first.
    if (verdict === null && feedError instanceof RestoreError) throw feedError
    if (verdict !== null) throw verdictError(verdict, results)
  } finally {
    stopSampling()
    context.signal.removeEventListener('abort', abort)
    if (context.signal.aborted) await endGroups(pipeline.tools)
  }
}

const verdictError = ({ code, message, stage }: Judgement & { stage: number }, results: readonly RunResult[]) =>
  new RestoreError(code, message, { lastWords: results[stage]?.lastWords ?? [] })

function watchTool(
  context: RestoreContext,
  tool: StartedTool,
  stage: ToolRun['stages'][number] & { spanId: string; fedByAgent: boolean },
  run: ToolRun,
): Promise<RunResult> {
  const { store, now } = context
  const { id, name, pid, pgid, startTicks, stderrPath, statusPath } = tool
  const last = createLastLines()
  const failures: Failure[] = []
  let saidCompletedOk = false
  store.dispatch({
    type: 'tool_started',
    atMs: now(),
    tool: {
      id,
      name,
      pid,
      pgid,
      startTicks,
      stderrPath,
      statusPath,
      spanId: stage.spanId,
      fedByAgent: stage.fedByAgent,
    },
    attributes: {
      'process.executable.name': name,
      'process.pid': pid,
      'process.command_args': scrubArguments(stage.command.args).join(' '),
    },
  })
  const onLines = (lines: readonly Line[]) => {
    const events: ToolEvent[] = []
    for (const { text, complete } of lines) {
      if (complete) last.push(text)
      for (const event of stage.grammar(text, complete)) {
        if (event.type === 'failure' && failures.length < MOST_FAILURES) failures.push(event)
        if (event.type === 'completed_ok') saidCompletedOk = true
        // A flood of one and the same thing is one event to the reducer.
        if (event.type !== 'starved' || events.at(-1)?.type !== 'starved') events.push(event)
      }
    }
    run.onEvents?.(events)
    const whole = lines.filter(line => line.complete)
    store.dispatch({
      type: 'tool_lines',
      atMs: now(),
      tool: name,
      events,
      lines: whole.slice(0, LINES_PER_READ).map(line => line.text),
      count: whole.length,
      dropped: Math.max(0, whole.length - LINES_PER_READ),
    })
  }
  const tail = followStderr(stderrPath, onLines)
  return tool.exited.then(async exit => {
    await tail.stop()
    const result = { program: name, exit, failures, saidCompletedOk, lastWords: last.lines() }
    store.dispatch({
      type: 'tool_ended',
      atMs: now(),
      id,
      exitCode: exit.code,
      signal: exit.signal,
      error: errorOf(exit, result),
    })
    return result
  })
}

/** For the tool's own span: that it failed, without asking whose fault it was. */
function errorOf(exit: Exit, { program, failures, lastWords }: RunResult): ErrorRecord | null {
  if (exit.code === 0) return null
  const message = exit.signal === null ? `${program} exited ${exit.code}` : `${program} was ended by ${exit.signal}`
  return new RestoreError(failures[0]?.code ?? 'tool_killed', message, { lastWords }).record
}

/** Samples all tools as one, once a second, and once more at the end. */
function sampleTools(context: RestoreContext, tools: readonly StartedTool[], run: ToolRun): () => void {
  const sampler = createSampler(tools)
  let before: ToolSample = { cpuSeconds: 0, rcharBytes: 0, readBytes: 0, writeBytes: 0 }
  let linesBefore = linesOf(context)
  const take = () => {
    const sample = sampler()
    const delta = difference(sample, before)
    before = {
      cpuSeconds: sample.cpuSeconds ?? before.cpuSeconds,
      rcharBytes: sample.rcharBytes ?? before.rcharBytes,
      readBytes: sample.readBytes ?? before.readBytes,
      writeBytes: sample.writeBytes ?? before.writeBytes,
    }
    const lines = linesOf(context)
    context.store.dispatch({
      type: 'sample',
      atMs: context.now(),
      sample,
      lines: lines - linesBefore,
      delta,
      sourceReadBytes: run.sourcePosition?.() ?? null,
    })
    linesBefore = lines
  }
  const timer = setInterval(take, SAMPLE_MS)
  return () => {
    clearInterval(timer)
    take()
  }
}

const difference = (now: ToolSample, before: ToolSample): ToolSample => ({
  cpuSeconds: minus(now.cpuSeconds, before.cpuSeconds),
  rcharBytes: minus(now.rcharBytes, before.rcharBytes),
  readBytes: minus(now.readBytes, before.readBytes),
  writeBytes: minus(now.writeBytes, before.writeBytes),
})

const minus = (now: number | null, before: number | null): number | null =>
  now === null ? null : Math.max(0, now - (before ?? 0))

const linesOf = ({ store }: RestoreContext): number =>
  Object.values(store.state.counters.lines).reduce((sum, count) => sum + count, 0)
