import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Writable } from 'node:stream'
import { ERRORS, type ErrorCode, RestoreError, toRestoreError } from '../../errors.ts'
import { formatBytes } from '../../format.ts'
import { freeBytes } from '../../process/file-system.ts'
import { giveTree } from '../../process/give-tree.ts'
import { endGroups } from '../../process/kill-groups.ts'
import { startPipeline } from '../../process/pipeline.ts'
import { systemError } from '../../process/system-error.ts'
import { scrubArguments } from '../../secrets.ts'
import type { Command } from '../../tool/command.ts'
import type { Judgement } from '../../tool/judge-exit.ts'
import { dispatch, NEVER, type RestoreContext, untilDurable } from '../context.ts'
import { REDO_FILES } from '../plan/describe-backup.ts'
import type { Plan } from '../plan/plan.ts'
import { runName, SERVER_RUNS, toolsOf } from '../state/runs.ts'
import type { RunningTool } from '../state/state.ts'
import { lostWords } from '../state/state-dir.ts'
import { type RunResult, sampleTools, type ToolRun, type WatchedTool, waitForExit, watchTool } from './watch-tool.ts'

/**
 * Runs one or more joined tools to their end, and turns their output and work into events.
 *
 * Lines come from files, every 100 ms; CPU time and I/O from /proc, once a second. The tools never wait for either.
 * When all tools have ended and their files are read to the end, the pipeline is judged as a whole: exit codes alone
 * are not enough. An abort ends the process groups and rejects with its reason. A run that failed ends them too: a
 * tool can outlive its wrapper.
 *
 * Tools that an earlier agent started are adopted: their files are read again from the start, but only lines that are
 * not in the state make events; exits come from status files. After `detach` nothing is started and no exit is
 * processed: the next agent does both.
 */
export async function runTools(context: RestoreContext, run: ToolRun): Promise<void> {
  const { store, signal } = context
  if (context.detached()) return NEVER
  signal.throwIfAborted()
  const survivors = toolsOf(store.state, run.id)
  if (survivors.length === 0) {
    dispatch(context, { type: 'run_begun', run: run.id })
    await untilDurable(context)
    if (context.detached()) return NEVER
    signal.throwIfAborted()
  }
  const { tools, stdin } = survivors.length > 0 ? adopt(survivors) : await start(context, run)
  const ended = tools.map((tool, index) => watchTool(context, untilDetached(context, tool), run, index))
  const stopSampling = sampleTools(context, tools, run)
  const endAll = () => endGroups(tools, { lock: context.toolLock.file() })
  const abort = () => void endAll().catch(() => {}) // awaited below, which reports its error
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort() // it may have happened while the tools were started
  let passed = false
  try {
    const fed = stdin && run.feed ? run.feed(stdin).then(() => null, toRestoreError) : null
    const results = await Promise.all(ended)
    const feedError = await fed
    signal.throwIfAborted()
    const verdict = run.judge(results)
    // A tool that ended early makes the feed fail too: the tool's own error comes first.
    if (verdict !== null) throw lostTarget(context, run, verdict) ?? verdictError(context, verdict, results)
    if (feedError !== null) throw feedError
    passed = true
  } finally {
    stopSampling()
    signal.removeEventListener('abort', abort)
    if (!passed) await endAll()
    if (!passed && !context.detached()) dispatch(context, { type: 'run_failed', run: run.id })
    if (run.tempDir !== undefined) await rm(run.tempDir, { recursive: true, force: true })
  }
  dispatch(context, { type: 'run_finished', run: run.id })
}

const untilDetached = ({ detached }: RestoreContext, tool: WatchedTool): WatchedTool => ({
  ...tool,
  exited: tool.exited.then(exit => (detached() ? NEVER : exit)),
})

/** If files that this restore created have disappeared, that explains any error of the tool. */
function lostTarget({ store }: RestoreContext, { id }: ToolRun, { code }: Judgement): RestoreError | null {
  const element = store.state.plan?.elements[id.element - 1]
  // Nothing is left in the target dir when a server runs on the datadir.
  if (element === undefined || SERVER_RUNS.includes(id.kind)) return null
  const gone = [store.state.plan!.targetDir, element.directory].find(directory => !existsSync(directory))
  if (gone !== undefined) return new RestoreError('target_lost', `${gone} disappeared while a tool worked in it`)
  if (code !== 'backup_incomplete' || element.extracted === null) return null
  const has = (names: readonly string[]) => names.some(name => existsSync(join(element.directory, name)))
  if (has(CHECKPOINTS) && (element.extracted.redoBytes === null || has(REDO_FILES))) return null
  return new RestoreError('target_lost', `files of ${element.directory} disappeared after they were extracted`)
}

const CHECKPOINTS = ['xtrabackup_checkpoints', 'mariadb_backup_checkpoints']

/** Codes without a cause. */
const VAGUE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['extract_failed', 'prepare_failed', 'move_back_failed'])

function verdictError(
  { runDir, store }: RestoreContext,
  { code, message, stage }: Judgement & { stage: number },
  results: readonly RunResult[],
): RestoreError {
  // The cause may be in lines that the state dir could not take.
  const lost = ERRORS[code].backup || VAGUE.has(code) ? lostWords(runDir) : null
  // A tool names a file relative to its directory: add the directories.
  const paths = code === 'disk_full' && store.state.plan ? ` (${roomOf(store.state.plan)})` : ''
  return lost ?? new RestoreError(code, `${message}${paths}`, { lastWords: results[stage]?.lastWords ?? [] })
}

const roomOf = ({ targetDir, datadir }: Plan): string =>
  Object.entries({ 'target dir': targetDir, datadir })
    .map(([what, path]) => `${what} ${path}: ${formatBytes(freeBytes(path))} free`)
    .join(', ')

interface Started {
  tools: readonly WatchedTool[]
  stdin: Writable | null
}

const adopt = (survivors: readonly RunningTool[]): Started => ({
  tools: survivors.map(tool => ({ ...tool, exited: waitForExit(tool) })),
  stdin: null,
})

const variablesOf = ({ inherits = [] }: Command): Record<string, string> =>
  Object.fromEntries(inherits.flatMap(name => (process.env[name] === undefined ? [] : [[name, process.env[name]]])))

/**
 * Telemetry returns a whole environment; a tool gets only the trace context from it. process/tool-env.ts makes the
 * rest.
 */
const traceContextIn = (env: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(env).filter(([name]) => name === 'TRACEPARENT' || name === 'TRACESTATE'))

async function start(context: RestoreContext, run: ToolRun): Promise<Started> {
  for (const { command } of run.stages) giveDirectories(command)
  if (run.tempDir !== undefined) makeTempDir(run.tempDir, run.stages[0]!.command)
  const spanIds = run.stages.map(() => randomBytes(8).toString('hex'))
  const pipeline = await startPipeline({
    label: runName(run.id),
    stages: run.stages.map(({ command }, index) => ({
      name: command.name ?? basename(command.file),
      file: command.file,
      args: command.args,
      runAs: command.runAs,
      env: {
        ...variablesOf(command),
        ...traceContextIn(context.toolEnv(spanIds[index]!)),
        ...(run.tempDir !== undefined && { TMPDIR: run.tempDir }),
      },
    })),
    stdin: typeof run.stdin === 'function' ? run.stdin() : run.stdin,
    runDir: context.runDir,
    lockFd: context.toolLock.fd(),
    ...(run.cwd !== undefined && { cwd: run.cwd }),
  })
  const tools = pipeline.tools.map(({ exited, ...tool }, index): WatchedTool => {
    const running: RunningTool = {
      ...tool,
      run: run.id,
      spanId: spanIds[index]!,
      readOffset: 0,
      exit: null,
      runSize: run.stages.length,
      fedByAgent: run.stdin === 'pipe',
    }
    const { args } = run.stages[index]!.command
    dispatch(context, {
      type: 'tool_started',
      position: run.id.element,
      tool: running,
      attributes: {
        'process.executable.name': tool.name,
        'process.pid': tool.pid,
        'process.command_args': scrubArguments(args).join(' '),
      },
    })
    return { ...running, exited }
  })
  return { tools, stdin: pipeline.stdin }
}

function makeTempDir(path: string, { runAs }: Command): void {
  try {
    // Not with `recursive`: Node then says ENOENT of a read-only file system.
    if (!existsSync(path)) mkdirSync(path, { mode: 0o700 })
    if (runAs !== undefined) giveTree(path, runAs)
  } catch (thrown) {
    throw systemError(thrown, `cannot make the directory for temporary files ${path}`)
  }
}

/** The tool's user gets the directories that it works in, such as the target dir that this agent created. */
function giveDirectories({ runAs }: Command): void {
  for (const directory of runAs?.directories ?? [])
    if (statSync(directory).uid !== runAs!.uid) giveTree(directory, runAs!)
}
