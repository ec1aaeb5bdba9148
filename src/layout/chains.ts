import { RestoreError } from '../errors.ts'
import { formatFirst, formatIso } from '../format.ts'
import type { StoredBackup } from './layout.ts'

/**
 * Finds the base of each incremental: the newest earlier backup that ends at the LSN where the incremental begins, in
 * the same family of names first (`X` and what lies in `X.incr/`). Where an incremental does not tell its LSN (it is
 * encrypted), the one before it in that family is its base; the tool checks it again.
 */
export function linkByLsn(backups: readonly StoredBackup[]): StoredBackup[] {
  const inTime = [...backups].sort(byTime)
  return inTime.map((backup, index) => {
    if (backup.kind !== 'incremental') return backup
    const earlier = inTime.slice(0, index).reverse()
    const relatives = earlier.filter(({ id }) => familyOf(id) === familyOf(backup.id))
    const base =
      backup.fromLsn === null ? relatives[0] : [...relatives, ...earlier].find(({ toLsn }) => toLsn === backup.fromLsn)
    if (base !== undefined) return { ...backup, baseId: base.id }
    const where = backup.fromLsn === null ? 'its base is not here' : `no backup here ends at LSN ${backup.fromLsn}`
    return { ...backup, problem: backup.problem ?? { code: 'chain_broken', message: `${where}, where it begins` } }
  })
}

/** The PS operator's `X.incr/Y` belongs to `X`. */
const familyOf = (id: string): string => /^(.+)\.incr\/[^/]+$/s.exec(id)?.[1] ?? id

const byTime = (a: StoredBackup, b: StoredBackup): number =>
  (a.timeMs ?? 0) - (b.timeMs ?? 0) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

/** In the order of time, each incremental with the problem of its chain where it has none of its own. */
export function judgeChains(backups: readonly StoredBackup[]): StoredBackup[] {
  const byId = new Map(backups.map(backup => [backup.id, backup]))
  return [...backups].sort(byTime).map(backup => {
    if (backup.problem !== null || backup.kind !== 'incremental') return backup
    const chain = chainOf(byId, backup)
    if (chain === null || chain[0]!.kind === 'incremental')
      return { ...backup, problem: { code: 'chain_broken', message: 'its chain does not lead to a full backup here' } }
    const broken = chain.find(({ problem }) => problem !== null)
    if (broken === undefined) return backup
    const message = `its base ${broken.id} cannot be restored: ${broken.problem!.message}`
    return { ...backup, problem: { code: broken.problem!.code, message } }
  })
}

/** The full backup first, `backup` last; null where the bases go round in a circle or one is not here. */
function chainOf(byId: ReadonlyMap<string, StoredBackup>, backup: StoredBackup): StoredBackup[] | null {
  const chain = [backup]
  const seen = new Set([backup.id])
  while (chain[0]!.baseId !== null) {
    const base = byId.get(chain[0]!.baseId)
    if (base === undefined || seen.has(base.id)) return null
    seen.add(base.id)
    chain.unshift(base)
  }
  return chain
}

export interface ChosenBackups {
  /** The full backup first, the chosen one last. */
  chain: readonly StoredBackup[]
  /** Chains of the backups before the chosen one, newest first. */
  older: readonly (readonly StoredBackup[])[]
}

/** More older backups than anybody goes back to. */
const MOST_OLDER = 20

/**
 * The backup that `wanted` names, or the newest that can be restored (`latest`), and those before it. `beforeMs` leaves
 * out what is not older than that time, and what has none. `backups` are judged ones. Throws `backup_missing`, and
 * its problem's code for a named one that cannot be restored.
 */
export function chooseBackup(
  backups: readonly StoredBackup[],
  { place, wanted, beforeMs }: { place: string; wanted: string; beforeMs: number | null },
): ChosenBackups {
  const byId = new Map(backups.map(backup => [backup.id, backup]))
  const inTime = backups
    .filter(({ timeMs }) => beforeMs === null || (timeMs !== null && timeMs < beforeMs))
    .sort(byTime)
  const usable = inTime.filter(({ problem }) => problem === null)
  const before = beforeMs === null ? '' : ` before ${formatIso(beforeMs)}`
  if (wanted === 'latest') {
    const newest = usable.at(-1)
    if (newest === undefined) throw missing(`${place} has no backup${before} that can be restored`, backups)
    return chosen(newest)
  }
  const named = inTime.filter(({ id }) => id === wanted || id.endsWith(`/${wanted}`))
  if (named.length === 0) throw missing(`${place} has no backup ${wanted}${before}`, backups)
  if (named.length > 1)
    throw missing(`${place} has ${named.length} backups of the name ${wanted}: give the whole name`, named)
  const [backup] = named as [StoredBackup]
  if (backup.problem !== null)
    throw new RestoreError(
      backup.problem.code,
      `${place}: ${backup.id} cannot be restored: ${backup.problem.message}`,
      {
        hint: 'choose another one of restore-agent list',
      },
    )
  return chosen(backup)

  function chosen(backup: StoredBackup): ChosenBackups {
    const older = usable.filter(other => byTime(other, backup) < 0).reverse()
    return {
      chain: chainOf(byId, backup)!,
      older: older.slice(0, MOST_OLDER).map(other => chainOf(byId, other)!),
    }
  }
}

const missing = (what: string, backups: readonly StoredBackup[]): RestoreError =>
  new RestoreError('backup_missing', what, {
    hint: backups.length === 0 ? 'there is none at all' : `there are ${formatFirst(backups.map(({ id }) => id))}`,
  })
