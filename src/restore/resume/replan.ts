import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { OptionName } from '../../config/options.ts'
import { availableMemory } from '../../process/memory.ts'
import { toolFamily } from '../../tool/families.ts'
import { makePlan, type PlanParts } from '../plan/build-plan.ts'
import { plannedServer, threadsOf } from '../plan/inputs.ts'
import { chooseMemory } from '../plan/memory.ts'
import { plannedOwner, userCan } from '../plan/owner.ts'
import type { Plan } from '../plan/plan.ts'
import { checkKey, filterCommands, innerKeyOf, streamCheckCommand } from '../plan/unpack.ts'
import { isFinished } from '../state/runs.ts'
import type { RestoreState } from '../state/state.ts'
import { currentOptions } from '../state/state.ts'
import { needsBytes } from './needs-bytes.ts'
import type { OptionChanges } from './option-changes.ts'

/**
 * The plan of a resumed restore, made anew from what is known of the backup and from the options that it has now:
 * of the one in the state file only the tool that was chosen is kept, no command. What a first call would be refused
 * for is thrown here too, before anything has changed: a slip in an option must not cost what was extracted already.
 * Memory is not chosen anew yet, each prepare does that.
 */
export function replan(stands: RestoreState, { taken }: OptionChanges, runDir: string): Plan | null {
  if (stands.plan === null) return null
  const isNew = (option: OptionName) => taken.some(({ name }) => name === option)
  const plan = makePlan(partsOf(stands, runDir, isNew('owner') ? ownerNow(stands) : stands.plan.owner))
  if (isNew('memory') && stands.tools.length === 0 && hasPrepare(plan, stands)) checkMemory(stands, plan)
  return plan
}

/** A datadir that is ours already does not say whose it shall be. */
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
  const needed = plan.elements.map(({ description }) => description).filter((_, index) => needsBytes(state, index + 1))
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
    server: null,
    elements: plan.elements,
  }
  return { ...parts, server: plannedServer(parts) }
}

const ownsDatadir = ({ datadir, runAs }: Plan): boolean => {
  const found = statSync(datadir, { throwIfNoEntry: false })?.uid
  return found === undefined || found === runAs?.uid
}
