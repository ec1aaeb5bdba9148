import type { RestoreOptions } from '../../config/options.ts'
import type { Filters } from '../../source/filter.ts'
import type { InnerKey, InnerSuffix, ToolFamily } from '../../tool/tool.ts'
import { serverCommand } from '../steps/start-check.ts'
import type { Plan, PlanElement, PlanStep } from './plan.ts'

/** What a plan is made of. Pure: the same parts give the same plan, so it is made anew whenever more is known. */
export interface PlanParts {
  options: RestoreOptions
  restoreId: string
  filters: Filters
  /** xtrabackup's own encryption inside the stream. */
  innerKey: InnerKey | null
  parallel: number
  family: ToolFamily
  tool: Plan['tool']
  memory: Plan['memory']
  owner: Plan['owner']
  moveBack: Plan['moveBack']
  elements: readonly Omit<PlanElement, 'directory'>[]
}

export function makePlan(parts: PlanParts): Plan {
  const { options, restoreId } = parts
  const first = parts.elements[0]!
  const inPlace = options.inPlace && first.directorySource
  const targetDir = inPlace ? first.source : (options.targetDir ?? `${options.datadir}.restore-${restoreId}`)
  const elements = parts.elements.map((element, index) => ({
    ...element,
    directory: index === 0 ? targetDir : `${targetDir}-inc${index}`,
  }))
  const plan = { ...parts, elements, targetDir, inPlace }
  return {
    datadir: options.datadir,
    targetDir,
    inPlace,
    tool: parts.tool,
    memory: parts.memory,
    owner: parts.owner,
    deadlineMs: options.deadlineMs,
    moveBack: parts.moveBack,
    elements,
    steps: [...elements.flatMap((_, index) => elementSteps(plan, index)), ...finalSteps(plan)],
  }
}

type Draft = PlanParts & { elements: readonly PlanElement[]; targetDir: string; inPlace: boolean }

function elementSteps(plan: Draft, index: number): PlanStep[] {
  const { family, tool, memory, parallel, targetDir } = plan
  const { description, directory } = plan.elements[index]!
  const element = index + 1
  const last = element === plan.elements.length
  const steps: PlanStep[] = [...bringSteps(plan, index)]
  // The metadata of a compressed backup is only seen after extract, so "prepared" may still turn out then.
  if (!(description.prepared && plan.elements.length === 1))
    steps.push({
      kind: 'prepare',
      phase: 'preparing_backup',
      element,
      directory,
      incrementalDir: index === 0 ? null : directory,
      last,
      command: family.prepare({
        program: tool.path,
        toolVersion: tool.version,
        targetDir,
        incrementalDir: index === 0 ? null : directory,
        memoryBytes: memory?.bytes ?? family.defaultMemoryBytes,
        parallel,
        isLast: last,
      }),
    })
  return steps
}

/** How an element gets into its directory. */
function bringSteps(plan: Draft, index: number): PlanStep[] {
  const { family, options, tool, filters, parallel } = plan
  const { description, source, directory, directorySource } = plan.elements[index]!
  const base = { phase: 'restoring_basebackup', element: index + 1 } as const
  const steps: PlanStep[] = []
  const unpack = {
    toolVersion: tool.version,
    directory,
    parallel,
    innerSuffixes: suffixesOf(description),
    key: description.innerEncryption ? plan.innerKey : null,
  }
  if (!directorySource) {
    const filterStages = description.layers.map(format => filters(format, options.decryptKeyFile))
    const stages = [...filterStages, family.extract({ ...unpack, extractor: tool.extractor })]
    steps.push({ ...base, kind: 'extract', into: directory, stages })
  } else if (!(plan.inPlace && index === 0)) {
    // A link would be followed by the tools: prepare would write to, and move-back take away, what the source points at.
    const command = {
      file: 'cp',
      args: ['--archive', '--dereference', '--reflink=auto', '--', `${source}/.`, directory],
    }
    steps.push({ ...base, kind: 'copy', into: directory, command })
  }
  // A directory may hold packed files too; there the tool itself must do what the extractor would have done.
  const command = family.decompress({ ...unpack, program: tool.path })
  if (command) steps.push({ ...base, kind: 'decompress', directory, command })
  return steps
}

const suffixesOf = ({ innerCompression, innerEncryption }: PlanElement['description']): InnerSuffix[] => [
  ...(innerCompression ? [`.${innerCompression}` as const] : []),
  ...(innerEncryption ? ['.xbcrypt' as const] : []),
]

function finalSteps({ family, options, tool, targetDir, parallel, elements, owner }: Draft): PlanStep[] {
  const base = { phase: 'finalizing', element: elements.length } as const
  const steps: PlanStep[] = [
    {
      kind: 'move_back',
      phase: 'preparing_backup',
      element: elements.length,
      command: family.moveBack({ program: tool.path, targetDir, datadir: options.datadir, parallel }),
    },
    { ...base, kind: 'verify' },
  ]
  if (owner) steps.push({ ...base, kind: 'ownership' })
  if (options.startCheck)
    steps.push({ ...base, kind: 'start_check', command: serverCommand(tool.family, options.datadir, owner) })
  return steps
}
