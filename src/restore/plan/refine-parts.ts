import { RestoreError } from '../../errors.ts'
import type { PlanParts } from './build-plan.ts'
import { describeDirectory } from './describe-directory.ts'
import { survey } from './directory-stats.ts'
import { onSameFileSystem } from './prechecks.ts'

/**
 * The parts of the plan with what an extracted element tells. A stream that ended too early at a chunk's border, or was
 * empty, made no tool complain: what every finished backup writes last is missing then. Throws `source_truncated`,
 * `extract_failed` or what the metadata themselves are refused for.
 */
export async function refineParts(parts: PlanParts, position: number, directory: string): Promise<PlanParts> {
  const before = parts.elements[position - 1]!
  const extracted = await survey(directory)
  const found = await describeDirectory(directory)
  if (extracted.files === 0)
    throw new RestoreError('source_empty', `nothing was extracted from ${before.name}: the stream holds no file`)
  if (found.lastLsn === null)
    throw before.directorySource
      ? new RestoreError('backup_incomplete', `${before.name} has no readable checkpoints file`)
      : new RestoreError(
          'source_truncated',
          `${before.name} was extracted to its end, but the metadata files that come last are missing`,
        )
  if (found.problem) throw new RestoreError(found.problem.code, found.problem.message)
  const packed = extracted.leftovers.filter(name => !/\.delta(\.meta)?$/.test(name))
  if (packed.length > 0)
    throw new RestoreError('extract_failed', `${packed.length} files of ${before.name} are still packed: ${packed[0]}`)
  const description = {
    ...found,
    name: before.name,
    layers: before.description.layers,
    innerCompression: before.description.innerCompression,
    innerEncryption: before.description.innerEncryption,
    storedBytes: before.description.storedBytes,
  }
  const elements = parts.elements.map((element, index) =>
    index === position - 1 ? { ...element, description, extracted } : element,
  )
  const rename = onSameFileSystem(directory, parts.options.datadir)
  return {
    ...parts,
    elements,
    moveBack: {
      files: elements[0]!.extracted?.files ?? 0,
      copyBytes: rename ? 0 : (elements[0]!.extracted?.dataFileBytes ?? 0),
    },
  }
}
