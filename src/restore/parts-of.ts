import { toolFamily } from '../tool/tool.ts'
import type { RestoreContext } from './context.ts'
import { currentOptions } from './current-options.ts'
import { filterCommands } from './filter-commands.ts'
import type { PlanParts } from './make-plan.ts'
import { innerKeyOf, threadsOf } from './prepare-plan.ts'

/** The parts a plan was made of, from the plan in the state: a later attempt or agent goes on with it. */
export function partsOf({ store, runDir }: RestoreContext): PlanParts {
  const options = currentOptions(store.state)
  const plan = store.state.plan!
  return {
    options,
    restoreId: store.state.restoreId,
    filters: filterCommands(options, runDir),
    innerKey: innerKeyOf(options.decryptKeyFile),
    parallel: threadsOf(options),
    family: toolFamily(plan.tool.family),
    tool: plan.tool,
    memory: plan.memory,
    owner: plan.owner,
    moveBack: plan.moveBack,
    elements: plan.elements,
  }
}
