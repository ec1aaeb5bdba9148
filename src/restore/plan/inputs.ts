import { availableParallelism } from 'node:os'
import type { BackupDescription } from '../../backup/backup.ts'
import { checkChain } from '../../backup/chain.ts'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { formatBytes } from '../../format.ts'
import { availableMemory } from '../../process/memory.ts'
import { inspectSource } from '../../source/inspect.ts'
import { checkKeyFile } from '../../source/key-file.ts'
import { openSource } from '../../source/open-source.ts'
import type { Source } from '../../source/source.ts'
import { checkStateRoom } from '../state/state-room.ts'
import { plannedOwner } from '../steps/ownership.ts'
import { makePlan, type PlanParts } from './build-plan.ts'
import { checkUnpackers } from './check-unpackers.ts'
import { filterCommands } from './filter-commands.ts'
import { findTool } from './find-tool.ts'
import { checkKey, innerKeyOf } from './inner-key.ts'
import { chooseMemory } from './memory.ts'
import type { Plan } from './plan.ts'
import {
  checkDatadir,
  checkOutside,
  checkSpace,
  checkTargetDir,
  checkUnshared,
  checkWritable,
  freeBytes,
  isMountPoint,
  onSameFileSystem,
} from './prechecks.ts'

export interface PreparedPlan {
  plan: Plan
  parts: PlanParts
  /** Open, one an element; whoever prepared the plan closes them. */
  sources: readonly Source[]
  /** Things a person should know though nothing forbids the restore. */
  notices: readonly string[]
}

/**
 * Looks at everything and changes nothing: what the backups are, which tool fits, whether there is room. Throws the
 * first refusal.
 */
export async function preparePlan(
  options: RestoreOptions,
  restoreId: string,
  scratchDir: string,
): Promise<PreparedPlan> {
  checkDatadir(options.datadir)
  checkStateRoom(options.stateDir)
  const { decryptKeyFile } = options
  if (decryptKeyFile !== null) checkKeyFile(decryptKeyFile)
  const sources = options.sources.map(openSource)
  try {
    if (options.inPlace && sources[0]!.kind !== 'directory')
      throw new RestoreError('usage', `--in-place consumes a directory, and ${sources[0]!.name} is a stream`, {
        hint: 'leave --in-place out',
      })
    const descriptions = await Promise.all(sources.map(source => describe(source, options, scratchDir)))
    checkChain(descriptions)
    const made = descriptions.find(({ family }) => family !== null)?.family ?? null
    const { family, planned: tool } = await findTool(options, made)
    const notices = descriptions.flatMap(description => checkVersion(family, tool.version, description))
    const parts: PlanParts = {
      options,
      restoreId,
      filters: filterCommands(options, scratchDir),
      innerKey: innerKeyOf(options.decryptKeyFile),
      parallel: threadsOf(options),
      family,
      tool,
      memory: chooseMemory(options.memory, availableMemory(), family.memoryFloorBytes, descriptions[0]!, null),
      owner: plannedOwner(options),
      moveBack: null,
      elements: descriptions.map((description, index) => ({
        name: description.name,
        source: options.sources[index]!,
        directorySource: sources[index]!.kind === 'directory',
        description,
        extracted: null,
      })),
    }
    const plan = makePlan(parts)
    checkUnpackers(plan)
    notices.push(...checkPlaces(plan))
    if (plan.inPlace) await checkUnshared(plan.targetDir)
    return { plan, parts, sources, notices }
  } catch (error) {
    await closeAll(sources)
    throw error
  }
}

export const closeAll = (sources: readonly Source[]) => Promise.all(sources.map(source => source.close()))

/** What the source is. A problem that its bytes show is the refusal. */
export async function describe(
  source: Source,
  options: RestoreOptions,
  scratchDir: string,
): Promise<BackupDescription> {
  const description = await inspectSource(source, {
    filters: filterCommands(options, scratchDir),
    keyFile: options.decryptKeyFile,
    full: false,
  })
  const { problem } = description
  if (problem)
    throw new RestoreError(problem.code, problem.message, { lastWords: problem.lastWords, hint: problem.hint })
  checkKey(description, options.decryptKeyFile)
  return description
}

/** Throws `tool_version`; returns what cannot be told for sure. */
export function checkVersion(
  family: PlanParts['family'],
  toolVersion: string,
  description: BackupDescription,
): string[] {
  const verdict = family.versionFits(toolVersion, {
    tool: description.toolVersion,
    server: description.serverVersion,
  })
  // A packed stream tells its version only at its end; it is asked again then.
  if (description.toolVersion === null && description.complete === null) return []
  if (!verdict.fits) throw new RestoreError('tool_version', `${description.name}: ${verdict.reason}`)
  return verdict.warning ? [verdict.warning] : []
}

/** Rights and room in every place that will be written. */
function checkPlaces(plan: Plan): string[] {
  checkWritable(plan.datadir, 'the datadir')
  for (const { directorySource, source } of plan.elements)
    if (directorySource) checkOutside(source, plan.targetDir, plan.datadir)
  const sameFileSystem = onSameFileSystem(plan.targetDir, plan.datadir)
  const room = { bytes: totalBytes(plan), leastBytes: leastBytes(plan) }
  const needs = []
  if (!plan.inPlace) {
    checkWritable(plan.targetDir, 'the target dir')
    for (const { directory } of plan.elements) checkTargetDir(directory, plan.datadir)
    needs.push({ path: plan.targetDir, what: 'the target dir', ...room })
  }
  if (!sameFileSystem) needs.push({ path: plan.datadir, what: 'the datadir', ...room })
  return [...checkSpace(needs), ...(sameFileSystem ? [] : [otherFileSystem(plan)])]
}

function totalBytes(plan: Plan): number | null {
  let sum = 0
  for (const { description } of plan.elements) {
    if (description.dataBytes === null) return null
    sum += description.dataBytes
  }
  return sum
}

/** Of a stream as it is stored, what its files take at least: base64 around gpg adds a third, all else only makes it smaller. */
const LEAST_OF_STORED = 0.7

function leastBytes(plan: Plan): number {
  const known = plan.elements.map(({ description: { dataBytes, storedBytes } }) =>
    Math.floor(dataBytes ?? (storedBytes ?? 0) * LEAST_OF_STORED),
  )
  return known.reduce((sum, bytes) => sum + bytes, 0)
}

/** Not what a person expects of a directory that lies beside the datadir by default. */
function otherFileSystem({ datadir, targetDir, inPlace }: Plan): string {
  const copies = 'so move-back copies every file'
  if (inPlace) return `${targetDir} and the datadir ${datadir} lie on different file systems, ${copies}`
  const free = `${formatBytes(freeBytes(targetDir))} are free for it`
  const advice = isMountPoint(datadir)
    ? 'name one with room for the whole backup with --target-dir, or a folder below the mount point as the datadir'
    : 'it needs room for the whole backup; a --target-dir beside the datadir makes move-back a rename'
  return `the target dir ${targetDir} is not on the file system of the datadir ${datadir}, ${copies}; ${free}: ${advice}`
}

export const threadsOf = ({ parallel }: Pick<RestoreOptions, 'parallel'>): number => parallel ?? availableParallelism()
