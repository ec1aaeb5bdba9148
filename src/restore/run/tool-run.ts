import type { Writable } from 'node:stream'
import type { Exit } from '../../process/tool-exit.ts'
import type { Command } from '../../tool/command.ts'
import type { Grammar, ToolEvent } from '../../tool/events.ts'
import type { Failure, Judgement } from '../../tool/judge-exit.ts'
import type { RunningTool } from '../state/state.ts'

/** One or more joined tools that do one piece of work together. */
export interface ToolRun {
  /** Names the run and its files: `1-extract`. Unique within a restore. */
  label: string
  /** Element it works for, from 1. */
  position: number
  stages: readonly { command: Command; grammar: Grammar }[]
  /** What the ends of all stages mean together; `stage` is the index of the one to blame. */
  judge: (results: readonly RunResult[]) => (Judgement & { stage: number }) | null
  /** A descriptor for the first stage, asked for when it starts; or its bytes are pumped by `feed`. */
  stdin: (() => number) | 'pipe' | 'ignore'
  cwd?: string
  feed?: (stdin: Writable) => Promise<void>
  /** Bytes of the source read so far. */
  sourcePosition?: (first: RunningTool) => number | null
  /** What the run's tools said that later checks need; an adopted tool's whole history too. */
  onEvents?: (events: readonly ToolEvent[]) => void
}

export interface RunResult {
  program: string
  exit: Exit
  /** The first `failure` events, oldest first. */
  failures: readonly Failure[]
  saidCompletedOk: boolean
  lastWords: readonly string[]
}

export type WatchedTool = RunningTool & { exited: Promise<Exit> }
