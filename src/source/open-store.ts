import { RestoreError } from '../errors.ts'
import { openDirectoryStore } from './directory-store.ts'
import type { ObjectStore } from './object-store.ts'
import { openS3Store } from './s3-store.ts'
import { nameOfSource, type SourceRef } from './source-ref.ts'
import type { StoreSettings } from './store-settings.ts'

/** Opens the place that `ref` names. Throws `usage` for a kind that holds one backup only. */
export async function openStore(ref: SourceRef, settings: StoreSettings): Promise<ObjectStore> {
  if (ref.kind === 'path' || ref.kind === 'directory') return openDirectoryStore(ref.path)
  if (ref.kind === 's3') return openS3Store(ref, settings)
  throw new RestoreError('usage', `${nameOfSource(ref)} is no place that holds backups`, {
    hint: 'name a directory, or s3://BUCKET/PREFIX',
  })
}
