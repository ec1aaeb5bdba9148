/**
 * A run is one piece of work on one element of the chain, recorded in the state before it begins and again when it has
 * passed every check. Most runs are one pipeline of tools. `fetch` contains `copy`, `extract` and `decompress`. `sync`
 * writes the prepared files to the disk before move-back, `final_sync` the datadir before success.
 *
 *   not recorded   it never began, or its work was undone
 *   interrupted    it began and is not finished: adopted if its tools live, otherwise decided by resume/decision.ts
 *   finished       its result stands, and a later attempt or agent skips it
 */
export const RUN_KINDS = [
  'fetch',
  'copy',
  'extract',
  'decompress',
  'prepare',
  'sync',
  'move_back',
  'relay_logs',
  'apply',
  'apply_position',
  'apply_check',
  'start_check',
  'final_sync',
] as const

export type RunKind = (typeof RUN_KINDS)[number]

/** Runs of a server on the restored datadir. */
export const SERVER_RUNS: readonly RunKind[] = ['apply', 'apply_position', 'apply_check', 'start_check']

/** `element` is the position in the chain, from 1; move-back and the start check are of the last one. */
export interface RunId {
  readonly element: number
  readonly kind: RunKind
}

export interface RunRecord extends RunId {
  readonly finished: boolean
}

interface Runs {
  runs: readonly RunRecord[]
}
/** Matches runs by the fields that are given. */
type RunQuery = Partial<RunId>

export const isRun = (run: RunId, { element = run.element, kind = run.kind }: RunQuery): boolean =>
  run.element === element && run.kind === kind

/** Names the run's files in the run dir: `1-extract-2-mbstream.stderr`. */
export const runName = ({ element, kind }: RunId): string => `${element}-${kind}`

export const hasBegun = ({ runs }: Runs, query: RunQuery): boolean => runs.some(run => isRun(run, query))

export const isFinished = ({ runs }: Runs, query: RunQuery): boolean =>
  runs.some(run => run.finished && isRun(run, query))

export const isInterrupted = ({ runs }: Runs, query: RunQuery): boolean =>
  runs.some(run => !run.finished && isRun(run, query))

/** Tools of a run that were started and not judged yet, by this agent or an earlier one. */
export const toolsOf = <T extends { run: RunId }>({ tools }: { tools: readonly T[] }, query: RunQuery): T[] =>
  tools.filter(({ run }) => isRun(run, query))

export const withRun = (runs: readonly RunRecord[], { element, kind }: RunId, finished: boolean): RunRecord[] => [
  ...runs.filter(run => !isRun(run, { element, kind })),
  { element, kind, finished },
]
