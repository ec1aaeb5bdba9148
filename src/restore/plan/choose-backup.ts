import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { chooseBackup } from '../../layout/chains.ts'
import { elementRef, readPlace } from '../../source/place.ts'
import { isWithin, placeOf } from '../../source/source-ref.ts'

/**
 * The options with the chain that `--backup` and `--before` choose from a place, and those before it as older backups
 * unless others were named. `begun` is what an unfinished restore was told: the same choice means the backup that it
 * began with, also where a later one is there by now. Throws what `readPlace` and `chooseBackup` throw, and `usage`.
 */
export async function withChosenBackup(options: RestoreOptions, begun: RestoreOptions | null): Promise<RestoreOptions> {
  const { backup, beforeMs, layout, sources } = options
  if (backup === null && beforeMs === null) {
    if (layout === null) return options
    throw new RestoreError('usage', '--layout is for a place that holds backups', {
      hint: 'name one of them with --backup, or the latest with --backup latest',
    })
  }
  const [first, ...others] = sources
  if (others.length > 0)
    throw new RestoreError('usage', '--backup and --before choose from one place, and there are several sources')
  const place = placeOf(first!)
  if (
    place !== null &&
    begun !== null &&
    isSameChoice(options, begun) &&
    begun.sources.every(ref => isWithin(ref, place))
  )
    return { ...options, sources: begun.sources, olderBackups: begun.olderBackups }
  const found = await readPlace(first!, layout, options)
  const wanted = { place: found.name, wanted: backup ?? 'latest', beforeMs }
  const { chain, older } = chooseBackup(found.backups, wanted)
  return {
    ...options,
    sources: chain.map(element => elementRef(found, element)),
    olderBackups:
      options.olderBackups.length > 0
        ? options.olderBackups
        : older.map(chainBefore => chainBefore.map(element => elementRef(found, element))),
  }
}

const isSameChoice = (a: RestoreOptions, b: RestoreOptions): boolean =>
  a.datadir === b.datadir && a.backup === b.backup && a.beforeMs === b.beforeMs && a.layout === b.layout
