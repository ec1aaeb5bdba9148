import type { BackupDescription } from '../../backup/backup.ts'
import { ENCRYPTED } from '../../backup/formats.ts'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { formatBytes } from '../../format.ts'
import type { AvailableMemory } from '../../process/memory.ts'
import type { Filters } from '../../source/filter.ts'
import { isStdin } from '../../source/source-ref.ts'
import type { Command } from '../../tool/command.ts'
import { applyServerCommand, serverCommand } from '../../tool/server-command.ts'
import type { InnerKey, InnerSuffix, ToolFamily } from '../../tool/tool.ts'
import type { BinlogLook } from './binlogs.ts'
import type { ExtractedFacts, Plan, PlanElement, PlanStep } from './plan.ts'

/** The input of `makePlan`. The same parts give the same plan; it is made again whenever more is known. */
export interface PlanParts {
  options: RestoreOptions
  restoreId: string
  filters: Filters
  /** For xtrabackup's own encryption inside the stream. */
  innerKey: InnerKey | null
  parallel: number
  family: ToolFamily
  tool: Plan['tool']
  memory: Plan['memory']
  owner: Plan['owner']
  runAs: Plan['runAs']
  /** Whether `runAs` can read the key file; the commands that need the key run as the agent's user otherwise. */
  keyIsReadable: boolean
  /** Refuses unsafe paths in a stream, in front of an extractor that may write them. */
  streamCheck: Command
  /** Whether `runAs` owns the datadir, or it does not exist. */
  ownsDatadir: boolean
  moveBack: Plan['moveBack']
  /** What is applied after the restore; null without binlogs, and until the backup's position is known. */
  binlogs: Plan['binlogs']
  /** What this agent has read of the binlogs. */
  look: BinlogLook | null
  /** mysqld or mariadbd, for the start check and binlogs, and its socket's directory; null where none is needed. */
  server: { program: string; directory: string; runAs: Plan['runAs'] } | null
  elements: readonly Omit<PlanElement, 'directory'>[]
}

export function makePlan(parts: PlanParts): Plan {
  const { options, restoreId } = parts
  const first = parts.elements[0]!
  const consumed = options.inPlace && first.source.kind === 'directory' ? first.source.path : null
  const targetDir = consumed ?? options.targetDir ?? `${options.datadir}.restore-${restoreId}`
  const elements = parts.elements.map((element, index) => ({
    ...element,
    directory: index === 0 ? targetDir : `${targetDir}-inc${index}`,
  }))
  const plan = { ...parts, elements, targetDir, inPlace: consumed !== null }
  return {
    datadir: options.datadir,
    targetDir,
    inPlace: plan.inPlace,
    tool: parts.tool,
    memory: parts.memory,
    owner: parts.owner,
    runAs: parts.runAs,
    deadlineMs: options.deadlineMs,
    moveBack: parts.moveBack,
    binlogs: parts.binlogs,
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
  const steps = fetchSteps(plan, index)
  // The metadata of a compressed backup are known only after extract; until then it may be prepared already.
  if (!(description.prepared && plan.elements.length === 1))
    steps.push({
      kind: 'prepare',
      phase: 'preparing_backup',
      element,
      directory,
      incrementalDir: index === 0 ? null : directory,
      last,
      command: asUser(
        plan.runAs,
        index === 0 ? [targetDir] : [targetDir, directory],
        family.prepare({
          program: tool.path,
          toolVersion: tool.version,
          targetDir,
          incrementalDir: index === 0 ? null : directory,
          memoryBytes: memory?.bytes ?? family.defaultMemoryBytes,
          parallel,
          isLast: last,
          rollbackPreparedTrx: plan.options.rollbackPreparedTrx,
        }),
      ),
    })
  return steps
}

/** The steps that fetch an element into its directory. */
function fetchSteps(plan: Draft, index: number): PlanStep[] {
  const { family, options, tool, filters, parallel } = plan
  const { description, source, identity, directory, innerKeyFile } = plan.elements[index]!
  const base = { phase: 'restoring_basebackup', element: index + 1 } as const
  const steps: PlanStep[] = []
  const innerKey =
    innerKeyFile === undefined ? plan.innerKey : ({ keyFile: innerKeyFile, algorithm: 'AES256' } as const)
  // A key file of ours lies in the run dir, which only the agent's user may enter.
  const runAs = innerKeyFile === undefined ? unpackUser(plan, description) : null
  const unpack = {
    toolVersion: tool.version,
    directory,
    parallel,
    innerSuffixes: suffixesOf(description),
    key: description.innerEncryption ? innerKey : null,
  }
  if (source.kind !== 'directory') {
    // Inspecting a plain stream in a file has read every chunk header already.
    const isChecked =
      description.layers.length === 0 &&
      identity !== null &&
      (['file', 'backup'].includes(source.kind) || isStdin(source))
    const check = isChecked || family.refusesUnsafePaths(tool.version) ? [] : [plan.streamCheck]
    // A command that needs the key reads it as the agent's user.
    const filterStages = description.layers.map(format =>
      asUser(ENCRYPTED.has(format) ? null : plan.runAs, [], filters(format, options.decryptKeyFile)),
    )
    const stages = [
      ...filterStages,
      ...check,
      asUser(runAs, [directory], family.extract({ ...unpack, extractor: tool.extractor })),
    ]
    steps.push({ ...base, kind: 'extract', into: directory, stages })
  } else if (!(plan.inPlace && index === 0)) {
    // --dereference: otherwise prepare would write through a link into the source, and move-back would move the link's
    // target away.
    const command = {
      file: 'cp',
      args: ['--archive', '--no-preserve=mode', '--dereference', '--reflink=auto', '--', `${source.path}/.`, directory],
    }
    steps.push({ ...base, kind: 'copy', into: directory, command })
  }
  // The tool decompresses what the extractor could not: files of a directory source, and those an old xbstream leaves
  // packed.
  const command = family.decompress({ ...unpack, program: tool.path })
  if (command) steps.push({ ...base, kind: 'decompress', directory, command: asUser(runAs, [directory], command) })
  return steps
}

const asUser = (runAs: Plan['runAs'], directories: readonly string[], command: Command): Command =>
  runAs === null ? command : { ...command, runAs: { uid: runAs.uid, gid: runAs.gid, directories } }

const unpackUser = ({ runAs, keyIsReadable }: Draft, { innerEncryption }: PlanElement['description']): Plan['runAs'] =>
  innerEncryption && !keyIsReadable ? null : runAs

const suffixesOf = ({ innerCompression, innerEncryption }: PlanElement['description']): InnerSuffix[] => [
  ...(innerCompression ? [`.${innerCompression}` as const] : []),
  ...(innerEncryption ? ['.xbcrypt' as const] : []),
]

function finalSteps(plan: Draft): PlanStep[] {
  const { family, options, tool, targetDir, parallel, elements, owner, server } = plan
  // With --allow-outside the backup may write where the owner cannot.
  const hasOutsideFiles = elements.some(({ extracted }) => extracted?.hasOutsideFiles)
  const base = { phase: 'finalizing', element: elements.length } as const
  const steps: PlanStep[] = [
    {
      kind: 'move_back',
      phase: 'preparing_backup',
      element: elements.length,
      command: asUser(
        plan.ownsDatadir && !hasOutsideFiles ? plan.runAs : null,
        [targetDir, options.datadir],
        family.moveBack({ program: tool.path, targetDir, datadir: options.datadir, parallel }),
      ),
    },
  ]
  const asked = server && { ...server, datadir: options.datadir, settings: [] }
  const check = asked && asUser(asked.runAs, [], serverCommand(asked))
  if (asked && check && options.binlogs !== null) {
    const relayDir = `${options.datadir}.restore-${plan.restoreId}-relay`
    const bufferPoolBytes = plan.memory?.bytes ?? family.defaultMemoryBytes
    const apply = applyServerCommand({ ...asked, relayDir, threads: applyThreads(parallel), bufferPoolBytes })
    const command = asUser(asked.runAs, [], apply)
    steps.push({ ...base, phase: 'applying_binlogs', kind: 'apply_binlogs', command, check, relayDir })
  }
  steps.push({ ...base, kind: 'verify' })
  if (owner) steps.push({ ...base, kind: 'ownership' })
  if (check && options.startCheck) steps.push({ ...base, kind: 'start_check', command: check })
  return steps
}

/** The rest is for the system and the agent. */
const SHARE = 0.7

/**
 * Memory for prepare: --use-memory, or 70 % of what is available, at least the tool's floor, at most what recovery
 * can use: all pages of the data files and all bytes of the redo log. Throws `memory`.
 */
export function chooseMemory(
  asked: number | 'auto',
  available: AvailableMemory,
  floorBytes: number,
  description: BackupDescription,
  extracted: ExtractedFacts | null,
): NonNullable<Plan['memory']> {
  if (asked !== 'auto' && asked > available.bytes)
    throw new RestoreError(
      'memory',
      `--use-memory asks for ${formatBytes(asked)}, ${formatBytes(available.bytes)} are available (${available.reason})`,
    )
  if (available.bytes < floorBytes)
    throw new RestoreError(
      'memory',
      `prepare needs at least ${formatBytes(floorBytes)}, ${formatBytes(available.bytes)} are available (${available.reason})`,
    )
  if (asked !== 'auto')
    return asked < floorBytes
      ? { bytes: floorBytes, reason: `the least that prepare needs; --use-memory says ${formatBytes(asked)}` }
      : { bytes: asked, reason: 'as --use-memory says' }
  const share = Math.max(floorBytes, wholeMegabytes(available.bytes * SHARE))
  const usable = usableBytes(description, extracted)
  if (usable !== null && usable < share)
    return { bytes: Math.max(floorBytes, wholeMegabytes(usable)), reason: 'prepare of this backup cannot use more' }
  const lessLater = extracted === null ? '; less if prepare of this backup cannot use it' : ''
  return {
    bytes: share,
    reason: `70 % of the ${formatBytes(available.bytes)} available (${available.reason})${lessLater}`,
  }
}

function usableBytes({ redoMemoryBytes }: BackupDescription, extracted: ExtractedFacts | null): number | null {
  if (extracted?.redoBytes == null) return null
  // A quarter more, for hash tables and page descriptors in the pool.
  return 1.25 * (Math.max(redoMemoryBytes ?? 0, extracted.redoBytes) + extracted.dataFileBytes)
}

const wholeMegabytes = (bytes: number): number => Math.ceil(bytes / 1048576) * 1048576

/** More workers than cores: each waits for the disk or for the commit before its own. */
const applyThreads = (parallel: number): number => Math.min(32, Math.max(4, 2 * parallel))
