import type { RestoreOptions } from '../../config/options.ts'
import { toolsOf } from '../state/runs.ts'
import type { RestoreState } from '../state/state.ts'

/**
 * An unfinished restore that is started again may be given other options than it was begun with: less memory for a prepare
 * that was killed for it. Each option is of one kind:
 *
 *   live    whoever needs it next reads it anew: the tool to be started next, the step, the watchdog
 *   fixed   what was made already was made by it, so it stays. As long as nothing was made, it is as live as the others, and
 *           the backup is looked at anew
 *   call    how this call shows the restore; nobody needs to be told
 *   same    by these it is the same restore
 */
export type OptionKind = 'live' | 'fixed' | 'call' | 'same'

export interface OptionChange {
  key: keyof RestoreOptions
  was: RestoreOptions[keyof RestoreOptions]
  asked: RestoreOptions[keyof RestoreOptions]
}

export interface OptionChanges {
  /** What the restore goes on with. */
  options: RestoreOptions
  /** Of what was asked for, what it takes and what it cannot take. */
  taken: readonly OptionChange[]
  refused: readonly OptionChange[]
  /** A plan that was made by what is taken now is not the plan any more, and nothing was made by it. */
  planIsVoid: boolean
}

const KINDS: { readonly [K in keyof RestoreOptions]: OptionKind } = {
  sources: 'same',
  datadir: 'same',
  // Found in it, whatever it was called.
  stateDir: 'same',
  targetDir: 'fixed',
  tool: 'fixed',
  toolPath: 'fixed',
  inPlace: 'fixed',
  memory: 'live',
  parallel: 'live',
  decryptKeyFile: 'live',
  opensslCipher: 'live',
  owner: 'live',
  startCheck: 'live',
  deadlineMs: 'live',
  deadlineAfterMs: 'call', // told as the deadline that it makes
  stallTimeoutMs: 'live',
  stallAction: 'live',
  stallThresholds: 'live',
  olderBackups: 'live',
  retries: 'live',
  retryDelayMs: 'live',
  prefetch: 'live',
  dryRun: 'call',
  json: 'call',
  quiet: 'call',
  color: 'call',
}
export const OPTION_KEYS = Object.keys(KINDS) as (keyof RestoreOptions)[]

export function changeOptions(found: RestoreState, asked: RestoreOptions): OptionChanges {
  const was = found.options
  const wanted = { ...asked, deadlineMs: deadlineOf(found, asked) }
  const untouched = isUntouched(found)
  const changes: OptionChange[] = OPTION_KEYS.filter(key => !isEqual(was[key], wanted[key])).map(key => ({
    key,
    was: was[key],
    asked: wanted[key],
  }))
  const takes = ({ key }: OptionChange) =>
    KINDS[key] === 'call' || (KINDS[key] === 'live' ? !isHeld(found, key, wanted) : KINDS[key] === 'fixed' && untouched)
  const taken = changes.filter(takes)
  const told = ({ key }: OptionChange) => KINDS[key] === 'live' || KINDS[key] === 'fixed'
  return {
    options: { ...was, ...Object.fromEntries(taken.map(change => [change.key, change.asked])) },
    taken: taken.filter(told),
    refused: changes.filter(change => told(change) && !takes(change)),
    planIsVoid: found.plan !== null && taken.some(({ key }) => KINDS[key] === 'fixed'),
  }
}

/** Nothing was begun by the plan yet, or it was taken back whole. */
const isUntouched = ({ runs, tools, made }: RestoreState): boolean =>
  runs.length === 0 && tools.length === 0 && made.directories.length === 0 && made.filling === null

/** Live in general, and not now. */
function isHeld({ tools, backupIndex, options }: RestoreState, key: keyof RestoreOptions, wanted: RestoreOptions) {
  // A server that was started for the check has to be asked and stopped.
  if (key === 'startCheck') return toolsOf({ tools }, { kind: 'start_check' }).length > 0
  // The one that was gone back to is found by its place among them.
  if (key === 'olderBackups')
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
