import { foreignDirectory } from '../backup/foreign-format.ts'
import { RestoreError } from '../errors.ts'
import { judgeChains } from '../layout/chains.ts'
import type { Layout, MetadataObjects, StoredBackup } from '../layout/layout.ts'
import { LAYOUT_NAMES, layoutNamed, recognisedLayout } from '../layout/layouts.ts'
import { MOST_READ_BYTES, type ObjectStore, type StoredObject } from './object-store.ts'
import { openStore } from './open-store.ts'
import { nameOfSource, objectOf, type PlaceRef, placeOf, type SourceRef } from './source-ref.ts'
import type { StoreSettings } from './store-settings.ts'

/** A place and the backups in it, in the order of their time. */
export interface Place {
  ref: PlaceRef
  /** For people: without a secret. */
  name: string
  layout: string
  backups: readonly StoredBackup[]
}

/**
 * Lists a place and says what backups it holds; `layoutName` null goes by what is in it. Throws what `openStore`
 * throws; `backup_missing` for an empty place, `source_unknown` where no layout is recognised, `usage` for a layout
 * that does not exist.
 */
export async function readPlace(
  ref: SourceRef,
  layoutName: string | null,
  settings: StoreSettings,
  signal?: AbortSignal,
): Promise<Place> {
  const store = await openStore(ref, settings)
  const place = placeOf(ref)
  if (place === null) throw new RestoreError('internal', `${store.name} is a store and no place`)
  try {
    const objects = await listed(store, '', signal)
    const layout = layoutOf(nameOfSource(ref), objects, layoutName)
    const metadata = await readMetadata(store, layout, objects, signal)
    return {
      ref: place,
      name: store.name,
      layout: layout.name,
      backups: judgeChains(layout.backups(objects, metadata)),
    }
  } finally {
    await store.close()
  }
}

/** A backup of the place as a source: the object itself where it is one, and needs nothing from another. */
export function elementRef({ ref, layout }: Place, backup: StoredBackup): SourceRef {
  const assembly = backup.assemble()
  const isOne = assembly.kind === 'concatenated' && assembly.keys.length === 1 && layout !== 'myhoard'
  return isOne ? objectOf(ref, assembly.keys[0]!) : { kind: 'backup', place: ref, layout, id: backup.id }
}

export async function listed(store: ObjectStore, prefix: string, signal?: AbortSignal): Promise<StoredObject[]> {
  const objects: StoredObject[] = []
  for await (const object of store.list(prefix)) {
    signal?.throwIfAborted()
    objects.push(object)
  }
  return objects
}

function layoutOf(name: string, objects: readonly StoredObject[], wanted: string | null): Layout {
  if (objects.length === 0) throw new RestoreError('backup_missing', `${name} is empty`, { hint: 'check its name' })
  const layout = wanted === null ? recognisedLayout(objects) : layoutNamed(wanted)
  if (layout !== null) return layout
  if (wanted !== null) throw new RestoreError('usage', `--layout ${wanted}: there are ${LAYOUT_NAMES.join(', ')}`)
  const foreign = foreignDirectory(
    objects.map(({ key }) => key),
    name,
  )
  throw foreign
    ? new RestoreError('source_unknown', `${name} is ${foreign.what}`, { hint: foreign.hint })
    : new RestoreError('source_unknown', `${name} holds backups in no layout that is known`, {
        hint: `known are ${LAYOUT_NAMES.join(', ')}; where each object is one stream, give --layout plain`,
      })
}

const READ_AT_ONCE = 8

/** The small objects that the layout wants; one that is too large is no such object and left out. */
export async function readMetadata(
  store: ObjectStore,
  layout: Layout,
  objects: readonly StoredObject[],
  signal?: AbortSignal,
): Promise<MetadataObjects> {
  const small = new Set(objects.filter(({ bytes }) => bytes <= MOST_READ_BYTES).map(({ key }) => key))
  const keys = layout.metadataKeys(objects).filter(key => small.has(key))
  const metadata = new Map<string, Buffer>()
  const readNext = async (): Promise<void> => {
    for (let key = keys.pop(); key !== undefined; key = keys.pop()) {
      signal?.throwIfAborted()
      metadata.set(key, await store.read(key))
    }
  }
  await Promise.all(Array.from({ length: READ_AT_ONCE }, readNext))
  return metadata
}
