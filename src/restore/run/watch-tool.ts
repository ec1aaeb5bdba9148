import { type ErrorRecord, RestoreError } from '../../errors.ts'
import type { Line } from '../../process/line-splitter.ts'
import { followStderr } from '../../process/stderr-tail.ts'
import type { Exit } from '../../process/tool-exit.ts'
import type { ToolEvent } from '../../tool/events.ts'
import type { Complaint, Failure } from '../../tool/judge-exit.ts'
import type { RestoreContext } from '../context.ts'
import type { RunResult, ToolRun, WatchedTool } from './tool-run.ts'

/** Lines of one read that observers get; the rest is counted as dropped. */
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
  const { store, now } = context
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
      store.dispatch({
        type: 'tool_lines',
        atMs: now(),
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
  store.dispatch({ type: 'tool_ended', atMs: now(), id: tool.id, exitCode, signal, error: errorOf(exit, result) })
  return result
}

/** A crash comes last, whatever came before it. */
const isKept = ({ level }: Complaint, kept: number): boolean =>
  level === 'crash' || (level === 'error' && kept < MOST_FAILURES)

/** For the tool's own span: that it failed, not why. */
function errorOf(exit: Exit, { program, failures, lastWords }: RunResult): ErrorRecord | null {
  if (exit.code === 0) return null
  const message = exit.signal === null ? `${program} exited ${exit.code}` : `${program} was ended by ${exit.signal}`
  return new RestoreError(failures[0]?.code ?? 'tool_killed', message, { lastWords }).record
}
