import { metadataRole } from '../backup/file-name.ts'
import { missingMetadata, parseMetadata } from '../backup/metadata.ts'
import { NO_NAMES, withName } from '../backup/name-facts.ts'
import { RestoreError } from '../errors.ts'
import { type Findings, type InspectOptions, problemIn } from './findings.ts'
import type { DirectorySource } from './source.ts'
import { unpackMetadata } from './unpack-metadata.ts'

/** Looks at a directory: walks it for names and sizes and reads the metadata files at its top. */
export async function inspectDirectory(
  source: DirectorySource,
  { filters, signal }: InspectOptions,
): Promise<Findings> {
  const metadata = new Map<string, Buffer>()
  let names = NO_NAMES
  let files = 0
  let storedBytes = 0
  let payloadBytes = 0
  for await (const { path, bytes, allocatedBytes } of source.files()) {
    signal?.throwIfAborted()
    files += 1
    storedBytes += bytes
    // A file just written may have no blocks yet.
    payloadBytes += allocatedBytes || bytes
    // Prepare makes one for either family.
    if (path !== 'ib_logfile0') names = withName(names, path)
    if (metadataRole(path) !== null) metadata.set(path, await source.read(path))
  }
  const found: Findings = { names, files, storedBytes, payloadBytes }
  if (files === 0) return { ...found, problem: new RestoreError('source_empty', `${source.path} holds no files`) }
  if (metadata.size === 0) {
    const message = `${source.path} is no backup: it has no xtrabackup_checkpoints or mariadb_backup_checkpoints`
    return { ...found, problem: new RestoreError('source_unknown', message) }
  }
  const unreadable = await problemIn(async () => {
    Object.assign(found, parseMetadata(await unpackMetadata(metadata, filters), source.path))
  })
  return { ...found, complete: true, problem: missingMetadata(metadata.keys(), source.path) ?? unreadable }
}
