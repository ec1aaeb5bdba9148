import { RestoreError } from '../errors.ts'
import { openDirectoryStore } from './directory-store.ts'
import type { ObjectStore } from './object-store.ts'
import { nameOfSource, type SourceRef } from './source-ref.ts'
import type { StoreSettings } from './store-settings.ts'

/** Opens the place that `ref` names. Throws `usage` for a kind that holds one backup only. */
export async function openStore(ref: SourceRef, _settings: StoreSettings): Promise<ObjectStore> {
  if (ref.kind === 'path' || ref.kind === 'directory') return openDirectoryStore(ref.path)
  throw new RestoreError('usage', `${nameOfSource(ref)} is no place that holds backups`, {
    hint: 'name a directory',
  })
}
