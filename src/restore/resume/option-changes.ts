import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { OPTION_NAMES, OPTIONS, type OptionName, type RestoreOptions, showOption } from '../../config/options.ts'
import { availableMemory } from '../../process/memory.ts'
import { toolFamily } from '../../tool/families.ts'
import { chooseMemory, makePlan, type PlanParts } from '../plan/build-plan.ts'
import { checkKey, filterCommands, innerKeyOf, streamCheckCommand } from '../plan/describe-backup.ts'
import { plannedServer, threadsOf } from '../plan/inputs.ts'
import { plannedOwner, userCan } from '../plan/owner.ts'
import type { Plan } from '../plan/plan.ts'
import { isFinished, toolsOf } from '../state/runs.ts'
import { currentOptions, type RestoreState } from '../state/state.ts'
import { needsBytes } from './decision.ts'

export interface OptionChange {
  name: OptionName
  was: unknown
  asked: unknown
}

export interface OptionChanges {
  /** The options that the resumed restore has. */
  options: RestoreOptions
  /** Options given now that differ: those the resumed restore takes, and those it cannot take. */
  taken: readonly OptionChange[]
  refused: readonly OptionChange[]
  /** The plan depends on an option that changed. It is made again; nothing was created by the old one. */
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

/** The restore has created nothing yet, or everything was removed again. */
const isUntouched = ({ runs, tools, cleanup }: RestoreState): boolean =>
  runs.length === 0 && tools.length === 0 && cleanup.created.length === 0 && cleanup.partialDatadir === null

/** Options that are `live` in general, but not at this moment. */
function isHeld({ tools, backupIndex, options }: RestoreState, name: OptionName, wanted: RestoreOptions) {
  // A running server of the start check must still be queried and stopped.
  if (name === 'startCheck') return toolsOf({ tools }, { kind: 'start_check' }).length > 0
  // The older backup in use is identified by its position in the list.
  if (name === 'olderBackups')
    return !isEqual(options.olderBackups.slice(0, backupIndex), wanted.olderBackups.slice(0, backupIndex))
  return false
}

/** A deadline such as `6h` counts from the beginning of the restore, however often it is started again. */
function deadlineOf({ options, startedAtMs }: RestoreState, { deadlineMs, deadlineAfterMs }: RestoreOptions) {
  if (deadlineAfterMs === null) return deadlineMs
  return deadlineAfterMs === options.deadlineAfterMs ? options.deadlineMs : startedAtMs + deadlineAfterMs
}

/** Compares plain data; the order of keys does not matter. */
const isEqual = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))

const sorted = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value

/** Notices about options that a resumed restore takes or cannot take. */
export function optionNotices({ taken, refused }: OptionChanges, adoptedTools: readonly string[]): string[] {
  const keeps =
    adoptedTools.length > 0 && taken.some(({ name }) => OPTIONS[name].ofTools)
      ? `; running tools (${adoptedTools.join(', ')}) keep the values that they were started with`
      : ''
  return [
    ...(taken.length > 0 ? [`the restore resumes, now with ${taken.map(withBoth('was')).join(', ')}${keeps}`] : []),
    ...(refused.length > 0
      ? [
          `the restore resumes with the values that it began with: ${refused.map(withBoth('not')).join(', ')}; ` +
            'for a fresh start with the new values, cancel it first (Ctrl-C, or DELETE /restore)',
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

/**
 * The plan of a resumed restore, rebuilt from what is known of the backup and from the current options. Of the plan in
 * the state file only the chosen tool is kept, and no command. Errors of an option are thrown here, before anything
 * changes: a typing error must not cost what was extracted already. Memory is not chosen here; each prepare does that.
 */
export function replan(stands: RestoreState, { taken }: OptionChanges, runDir: string): Plan | null {
  if (stands.plan === null) return null
  const isNew = (option: OptionName) => taken.some(({ name }) => name === option)
  const plan = makePlan(partsOf(stands, runDir, isNew('owner') ? ownerNow(stands) : stands.plan.owner))
  if (isNew('memory') && stands.tools.length === 0 && hasPrepare(plan, stands)) checkMemory(stands, plan)
  return plan
}

/** The owner of a datadir that this restore created does not tell who shall own it. */
function ownerNow({ options, cleanup: { partialDatadir } }: RestoreState): Plan['owner'] {
  return plannedOwner({
    ...options,
    datadir: partialDatadir?.existed === false ? dirname(options.datadir) : options.datadir,
  })
}

const hasPrepare = ({ steps }: Plan, state: RestoreState): boolean =>
  steps.some(({ kind, element }) => kind === 'prepare' && !isFinished(state, { element, kind: 'prepare' }))

/** Throws `memory`. */
function checkMemory({ options }: RestoreState, { tool, elements }: Plan): void {
  const { memoryFloorBytes } = toolFamily(tool.family)
  chooseMemory(options.memory, availableMemory(), memoryFloorBytes, elements[0]!.description, null)
}

/**
 * The parts of the plan in the state, for a later attempt or agent. The key is checked only where it is still needed;
 * throws `key_missing`, `wrong_key` or `usage` then.
 */
export function partsOf(state: RestoreState, runDir: string, owner = state.plan!.owner): PlanParts {
  const options = currentOptions(state)
  const plan = state.plan!
  const needed = plan.elements
    .filter(({ innerKeyFile }, index) => innerKeyFile === undefined && needsBytes(state, index + 1))
    .map(({ description }) => description)
  for (const description of needed) checkKey(description, options.decryptKeyFile)
  const hasInnerKey = needed.some(({ innerEncryption }) => innerEncryption)
  const family = toolFamily(plan.tool.family)
  const parts: PlanParts = {
    options,
    restoreId: state.restoreId,
    filters: filterCommands(options, runDir),
    streamCheck: streamCheckCommand(),
    innerKey: hasInnerKey ? innerKeyOf(options.decryptKeyFile) : null,
    parallel: threadsOf(options),
    family,
    tool: plan.tool,
    memory: plan.memory,
    owner,
    runAs: plan.runAs ?? null,
    keyIsReadable: !plan.runAs || !hasInnerKey || userCan(plan.runAs, '-r', options.decryptKeyFile!),
    ownsDatadir: ownsDatadir(plan),
    moveBack: plan.moveBack,
    binlogs: plan.binlogs,
    look: null,
    server: null,
    elements: plan.elements,
  }
  return { ...parts, server: plannedServer(parts) }
}

const ownsDatadir = ({ datadir, runAs }: Plan): boolean => {
  const found = statSync(datadir, { throwIfNoEntry: false })?.uid
  return found === undefined || found === runAs?.uid
}
