import { stat } from 'node:fs/promises'
import { combineSamples, createSampler, NO_WORK } from '../../process/proc-sample.ts'
import type { RestoreContext } from '../context.ts'
import { filesUnder } from '../plan/extracted.ts'
import type { ToolRun, WatchedTool } from './tool-run.ts'

const SAMPLE_MS = 1000

/** Samples all tools of a run as one, once a second and once more when stopped. */
export function sampleTools(context: RestoreContext, tools: readonly WatchedTool[], run: ToolRun): () => void {
  const { store, now } = context
  const look = createSampler(tools)
  // The counters begin with this agent: what an adopted tool did before does not count again.
  let before = tools.some(tool => tool.readOffset > 0) ? look() : NO_WORK
  let linesBefore = linesOf(context)
  const take = () => {
    const sample = look()
    const lines = linesOf(context)
    store.dispatch({
      type: 'sample',
      atMs: now(),
      position: run.id.element,
      sample,
      lines: lines - linesBefore,
      delta: combineSamples(sample, before, (value, earlier) =>
        value === null ? null : Math.max(0, value - (earlier ?? 0)),
      ),
      sourceReadBytes: run.sourcePosition?.(tools[0]!) ?? null,
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
