import type { Writable } from 'node:stream'
import type { Exit } from '../../process/tool-exit.ts'
import type { Command } from '../../tool/command.ts'
import type { Grammar, ToolEvent } from '../../tool/events.ts'
import { type Complaint, type Failure, type Judgement, judgeExit, type ToolPhase } from '../../tool/judge-exit.ts'
import type { RunId } from '../state/runs.ts'
import type { RunningTool } from '../state/state.ts'

/** One or more joined tools that do one piece of work together. */
export interface ToolRun {
  id: RunId
  stages: readonly { command: Command; grammar: Grammar }[]
  /** Judges the ends of all stages together; `stage` is the index of the one at fault. */
  judge: (results: readonly RunResult[]) => (Judgement & { stage: number }) | null
  /** Gives the first stage's descriptor when the run starts; or `pipe`: `feed` writes the bytes. */
  stdin: (() => number) | 'pipe' | 'ignore'
  cwd?: string
  /** TMPDIR of the tools: made for the run, on the file system that has room for it, and removed after it. */
  tempDir?: string
  feed?: (stdin: Writable) => Promise<void>
  /** Bytes of the source read so far. */
  sourcePosition?: (first: RunningTool) => number | null
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
