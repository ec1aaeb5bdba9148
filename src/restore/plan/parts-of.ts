import { toolFamily } from '../../tool/tool.ts'
import { currentOptions } from '../resume/current-options.ts'
import { needsBytes } from '../resume/needs-bytes.ts'
import type { RestoreState } from '../state/state.ts'
import type { PlanParts } from './build-plan.ts'
import { filterCommands } from './filter-commands.ts'
import { checkKey, innerKeyOf } from './inner-key.ts'
import { threadsOf } from './inputs.ts'

/**
 * The parts a plan was made of, from the plan in the state: a later attempt or agent goes on with it. The key is looked for only
 * where it is still needed; throws `key_missing`, `wrong_key` or `usage` then.
 */
export function partsOf(state: RestoreState, runDir: string): PlanParts {
  const options = currentOptions(state)
  const plan = state.plan!
  const needed = plan.elements.map(({ description }) => description).filter((_, index) => needsBytes(state, index + 1))
  for (const description of needed) checkKey(description, options.decryptKeyFile)
  const hasInnerKey = needed.some(({ innerEncryption }) => innerEncryption)
  return {
    options,
    restoreId: state.restoreId,
    filters: filterCommands(options, runDir),
    innerKey: hasInnerKey ? innerKeyOf(options.decryptKeyFile) : null,
    parallel: threadsOf(options),
    family: toolFamily(plan.tool.family),
    tool: plan.tool,
    memory: plan.memory,
    owner: plan.owner,
    moveBack: plan.moveBack,
    elements: plan.elements,
  }
}
