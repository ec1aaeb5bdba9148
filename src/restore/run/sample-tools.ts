import { createSampler } from '../../process/proc-sample.ts'
import type { ToolSample } from '../../progress/progress.ts'
import type { RestoreContext } from '../context.ts'
import type { ToolRun, WatchedTool } from './tool-run.ts'

const SAMPLE_MS = 1000

/** Samples all tools of a run as one, once a second, and once more when stopped. */
export function sampleTools(context: RestoreContext, tools: readonly WatchedTool[], run: ToolRun): () => void {
  const { store, now } = context
  const look = createSampler(tools)
  // An adopted tool's work under the agent before is not counted again: counters begin with this process.
  let before = tools.some(tool => tool.readOffset > 0) ? look() : NOTHING
  let linesBefore = linesOf(context)
  const take = () => {
    const sample = look()
    const lines = linesOf(context)
    store.dispatch({
      type: 'sample',
      atMs: now(),
      position: run.position,
      sample,
      lines: lines - linesBefore,
      delta: combine(sample, before, (value, earlier) => (value === null ? null : Math.max(0, value - (earlier ?? 0)))),
      sourceReadBytes: run.sourcePosition?.(tools[0]!) ?? null,
    })
    before = combine(sample, before, (value, earlier) => value ?? earlier)
    linesBefore = lines
  }
  const timer = setInterval(take, SAMPLE_MS)
  return () => {
    clearInterval(timer)
    take()
  }
}

const NOTHING: ToolSample = { cpuSeconds: 0, rcharBytes: 0, readBytes: 0, writeBytes: 0 }

const combine = (
  a: ToolSample,
  b: ToolSample,
  join: (a: number | null, b: number | null) => number | null,
): ToolSample => ({
  cpuSeconds: join(a.cpuSeconds, b.cpuSeconds),
  rcharBytes: join(a.rcharBytes, b.rcharBytes),
  readBytes: join(a.readBytes, b.readBytes),
  writeBytes: join(a.writeBytes, b.writeBytes),
})

const linesOf = ({ store }: RestoreContext): number =>
  Object.values(store.state.counters.lines).reduce((sum, count) => sum + count, 0)
