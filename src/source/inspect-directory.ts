import { createDeltaPairs, unpairedProblem } from '../backup/delta-pairs.ts'
import { metadataRole } from '../backup/file-name.ts'
import { foreignDirectory } from '../backup/foreign-format.ts'
import { missingMetadata, parseMetadata } from '../backup/metadata.ts'
import { NO_NAMES, withName } from '../backup/name-facts.ts'
import { RestoreError } from '../errors.ts'
import { recognisedLayout } from '../layout/layouts.ts'
import { type Findings, type InspectOptions, problemIn } from './findings.ts'
import type { DirectorySource } from './source.ts'
import { unpackMetadata } from './unpack-metadata.ts'

/** No real metadata file is near this. */
const MOST_METADATA_BYTES = 1 << 20

/** Enough names to tell what a directory without a backup is. */
const MOST_PATHS = 100_000

const placeOf = (layout: string) => ({
  what: `a place that holds backups, in the layout of ${layout}`,
  hint: 'choose one with --backup latest or --backup NAME; restore-agent list shows them',
})

/** Looks at a directory: walks it for names and sizes and reads the metadata files at its top. */
export async function inspectDirectory(
  source: DirectorySource,
  { filters, signal }: InspectOptions,
): Promise<Findings> {
  const metadata = new Map<string, Buffer>()
  let names = NO_NAMES
  const deltas = createDeltaPairs()
  const paths: string[] = []
  let huge: string | null = null
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
    deltas.add(path)
    if (paths.length < MOST_PATHS) paths.push(path)
    if (metadataRole(path) !== null && bytes > MOST_METADATA_BYTES) huge ??= path
    else if (metadataRole(path) !== null) metadata.set(path, await source.read(path))
  }
  const found: Findings = { names, files, storedBytes, payloadBytes }
  if (files === 0) return { ...found, problem: new RestoreError('source_empty', `${source.path} holds no files`) }
  if (metadata.size === 0) {
    const layout = recognisedLayout(paths.map(path => ({ key: path, bytes: 0, modifiedMs: null })))
    const foreign =
      layout === null || layout.name === 'plain' ? foreignDirectory(paths, source.path) : placeOf(layout.name)
    const message = foreign
      ? `${source.path} is ${foreign.what}`
      : `${source.path} is no backup: it has no xtrabackup_checkpoints or mariadb_backup_checkpoints`
    return { ...found, problem: new RestoreError('source_unknown', message, foreign ? { hint: foreign.hint } : {}) }
  }
  if (huge !== null) {
    const problem = new RestoreError('source_corrupt', `${source.path}/${huge} is too large to be a metadata file`)
    return { ...found, problem }
  }
  const unreadable = await problemIn(async () => {
    Object.assign(found, parseMetadata(await unpackMetadata(metadata, filters), source.path))
  })
  return {
    ...found,
    complete: true,
    problem:
      unpairedProblem(deltas.result(), source.path) ?? missingMetadata(metadata.keys(), source.path) ?? unreadable,
  }
}
