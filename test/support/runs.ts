import { type RunId, type RunKind, type RunRecord, runName } from '../../src/restore/state/runs.ts'

/** `1-extract`, as the run's files are named. */
export function runOf(name: string): RunId {
  const [element, kind] = name.split('-')
  return { element: Number(element), kind: kind as RunKind }
}

export const runsOf = (begun: readonly string[], finished: readonly string[] = []): RunRecord[] => [
  ...begun.filter(name => !finished.includes(name)).map(name => ({ ...runOf(name), finished: false })),
  ...finished.map(name => ({ ...runOf(name), finished: true })),
]

/** The names of all recorded runs, or of the finished ones. */
export const begunIn = ({ runs }: { runs: readonly RunRecord[] }): string[] => runs.map(runName)
export const finishedIn = ({ runs }: { runs: readonly RunRecord[] }): string[] =>
  runs.filter(({ finished }) => finished).map(runName)
