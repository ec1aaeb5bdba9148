import { RestoreError } from '../errors.ts'
import { splitFileName } from './file-name.ts'

/** Collects the names of an incremental's files. */
export interface DeltaPairs {
  add(path: string): void
  /** Tables whose `.meta` has no `.delta`, and whether there is any `.delta`. */
  result(): UnpairedDeltas
}

export interface UnpairedDeltas {
  metas: readonly string[]
  hasDeltas: boolean
}

/**
 * Both tools write `X.meta` and `X.delta` together. Prepare deletes each delta and leaves the meta; a second prepare
 * then succeeds without the data. So a meta alone means that the incremental was used already, or is incomplete.
 */
export function createDeltaPairs(): DeltaPairs {
  const seen = { meta: new Set<string>(), delta: new Set<string>() }
  return {
    add(path) {
      const match = /^(.+)\.(meta|delta)$/.exec(splitFileName(path).base)
      if (match) seen[match[2] as keyof typeof seen].add(match[1]!)
    },
    result: () => ({ metas: [...seen.meta].filter(table => !seen.delta.has(table)), hasDeltas: seen.delta.size > 0 }),
  }
}

/** The error for an incremental with a `.meta` alone; null for a whole one, and for a full backup. */
export function unpairedProblem({ metas, hasDeltas }: UnpairedDeltas, name: string): RestoreError | null {
  const [first] = metas
  if (first === undefined) return null
  const more = metas.length > 1 ? `, and ${metas.length - 1} more` : ''
  const what = hasDeltas
    ? `has ${first}.meta without ${first}.delta${more}`
    : 'is an incremental whose .delta files are all gone: a prepare has applied it already'
  return new RestoreError('backup_incomplete', `${name} ${what}`, {
    hint: 'give the incremental as it was taken; prepare consumes the copy that it is given',
  })
}
