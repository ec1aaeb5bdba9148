import { type BackupDescription, type BackupEvidence, describeBackup } from '../backup/backup.ts'
import { NO_NAMES } from '../backup/name-facts.ts'
import type { InspectOptions } from './findings.ts'
import { inspectDirectory } from './inspect-directory.ts'
import { inspectStream } from './inspect-stream.ts'
import type { Source } from './source.ts'

/**
 * Says what a source is. Whatever is wrong with the backup itself, and a key that is missing or wrong, is its `problem`
 * and not thrown, so that it can be shown beside what is known. Throws `source_unreadable` and `tool_missing`.
 */
export async function inspectSource(source: Source, options: InspectOptions): Promise<BackupDescription> {
  const findings = source.kind === 'directory' ? inspectDirectory(source, options) : inspectStream(source, options)
  const { problem, ...found } = await findings
  return describeBackup({ ...UNKNOWN, ...found, name: source.name, problem: problem?.record ?? null })
}

const UNKNOWN: Omit<BackupEvidence, 'name' | 'problem'> = {
  names: NO_NAMES,
  checkpoints: null,
  info: null,
  binlog: null,
  serverUuid: null,
  replica: null,
  galera: null,
  layers: [],
  storedBytes: null,
  payloadBytes: null,
  files: null,
  complete: null,
}
