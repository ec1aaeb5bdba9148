import { OPTION_NAMES, OPTIONS, type OptionName, type RestoreOptions, showOption } from '../../config/options.ts'
import { toolsOf } from '../state/runs.ts'
import type { RestoreState } from '../state/state.ts'

export interface OptionChange {
  name: OptionName
  was: unknown
  asked: unknown
}

export interface OptionChanges {
  /** The options that the resumed restore has. */
  options: RestoreOptions
  /** Of what was asked for, what it takes and what it cannot take. */
  taken: readonly OptionChange[]
  refused: readonly OptionChange[]
  /** A plan that was made by what is taken now is not the plan any more, and nothing was made by it. */
  planIsVoid: boolean
}

export function changeOptions(found: RestoreState, asked: RestoreOptions): OptionChanges {
  const was = found.options
  const wanted = { ...asked, deadlineMs: deadlineOf(found, asked) }
  const untouched = isUntouched(found)
  const changes: OptionChange[] = OPTION_NAMES.filter(name => !isEqual(was[name], wanted[name])).map(name => ({
    name,
    was: was[name],
    asked: wanted[name],
  }))
  const resumeOf = ({ name }: OptionChange) => OPTIONS[name].resume
  const takes = (change: OptionChange) => {
    const resume = resumeOf(change)
    return resume === 'live'
      ? !isHeld(found, change.name, wanted)
      : resume === 'call' || (resume === 'fixed' && untouched)
  }
  const taken = changes.filter(takes)
  const told = (change: OptionChange) => ['live', 'fixed'].includes(resumeOf(change))
  return {
    options: { ...was, ...Object.fromEntries(taken.map(({ name, asked: value }) => [name, value])) },
    taken: taken.filter(told),
    refused: changes.filter(change => told(change) && !takes(change)),
    planIsVoid: found.plan !== null && taken.some(change => resumeOf(change) === 'fixed'),
  }
}

/** Nothing was begun by the plan yet, or it was taken back whole. */
const isUntouched = ({ runs, tools, cleanup }: RestoreState): boolean =>
  runs.length === 0 && tools.length === 0 && cleanup.created.length === 0 && cleanup.partialDatadir === null

/** Live in general, and not now. */
function isHeld({ tools, backupIndex, options }: RestoreState, name: OptionName, wanted: RestoreOptions) {
  // A server that was started for the check has to be asked and stopped.
  if (name === 'startCheck') return toolsOf({ tools }, { kind: 'start_check' }).length > 0
  // The one that was gone back to is found by its place among them.
  if (name === 'olderBackups')
    return !isEqual(options.olderBackups.slice(0, backupIndex), wanted.olderBackups.slice(0, backupIndex))
  return false
}

/** A deadline such as `6h` counts from the beginning of the restore, however often it is started again. */
function deadlineOf({ options, startedAtMs }: RestoreState, { deadlineMs, deadlineAfterMs }: RestoreOptions) {
  if (deadlineAfterMs === null) return deadlineMs
  return deadlineAfterMs === options.deadlineAfterMs ? options.deadlineMs : startedAtMs + deadlineAfterMs
}

/** Plain data; thresholds in another order are the same. */
const isEqual = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))

const sorted = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value

/** What is told of options that an unfinished restore takes, or cannot take, as a person writes them. */
export function optionNotices({ taken, refused }: OptionChanges, adoptedTools: readonly string[]): string[] {
  const keeps =
    adoptedTools.length > 0 && taken.some(({ name }) => OPTIONS[name].ofTools)
      ? `; what runs already (${adoptedTools.join(', ')}) keeps what it was started with`
      : ''
  return [
    ...(taken.length > 0 ? [`the restore goes on; now with ${taken.map(withBoth('was')).join(', ')}${keeps}`] : []),
    ...(refused.length > 0
      ? [
          `the restore goes on as it was begun with ${refused.map(withBoth('not')).join(', ')}; to begin anew with ` +
            'the other, cancel it first (Ctrl-C, or DELETE /restore), and start it again',
        ]
      : []),
  ]
}

const withBoth =
  (word: 'was' | 'not') =>
  ({ name, was, asked }: OptionChange): string => {
    const [now, other] = word === 'was' ? [asked, was] : [was, asked]
    return `${OPTIONS[name].key} ${showOption(name, now)} (${word} ${showOption(name, other)})`
  }
