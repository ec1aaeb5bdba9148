import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { BackupDescription } from '../backup/backup.ts'
import { loadStoreSettings } from '../config/load.ts'
import { exitCodeOf, RestoreError } from '../errors.ts'
import { formatBytes, printable } from '../format.ts'
import { abortable } from '../process/abortable.ts'
import { filterCommands } from '../restore/plan/describe-backup.ts'
import { inspectSource } from '../source/inspect.ts'
import { checkKeyFile } from '../source/key-file.ts'
import { openSource } from '../source/open-source.ts'
import { absoluteSource, parseSource, SOURCE_FORMS, type SourceRef } from '../source/source-ref.ts'
import { errorAsJson, reportError } from './report-error.ts'
import { flagsToKeys } from './restore-flags.ts'
import { untilSignal } from './signals.ts'

/** Throws `usage` for what is no source. */
function sourceOf(name: string): SourceRef {
  const ref = parseSource(name)
  if (ref === null) throw new RestoreError('usage', `SOURCE: must be ${SOURCE_FORMS}`)
  return absoluteSource(ref, process.cwd())
}

interface InspectFlags {
  full?: boolean
  json?: boolean
  decryptKeyFile?: string
  opensslCipher?: string
}

/**
 * `restore-agent inspect`. A backup with a problem is described as far as possible, and the exit code is that of the
 * problem.
 */
export async function inspectCommand(
  name: string,
  flags: InspectFlags & Readonly<Record<string, unknown>>,
): Promise<number> {
  const keyFile = flags.decryptKeyFile ? resolve(flags.decryptKeyFile) : null
  if (keyFile !== null) checkKeyFile(keyFile)
  const scratch = mkdtempSync(join(tmpdir(), 'restore-agent-'))
  const source = await openSource(sourceOf(name), loadStoreSettings(flagsToKeys(flags), process.cwd()))
  try {
    const filters = filterCommands({ opensslCipher: flags.opensslCipher ?? 'aes-256-cbc' }, scratch)
    const description = await untilSignal(signal =>
      abortable(signal, () => inspectSource(source, { filters, keyFile, full: flags.full ?? false, signal })),
    )
    const { problem } = description
    if (flags.json) process.stdout.write(`${JSON.stringify(asJson(description))}\n`)
    else {
      process.stdout.write(
        lines(description, flags)
          .map(line => `${printable(line)}\n`)
          .join(''),
      )
      if (problem) reportError(problem, process)
    }
    return problem ? exitCodeOf(problem.code) : 0
  } finally {
    await source.close()
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** The stable form for programs; null is unknown. */
const asJson = ({ problem, binlog, ...known }: BackupDescription) => ({
  schema: 1,
  type: 'backup',
  name: known.name,
  tool: known.family,
  tool_version: known.toolVersion,
  server_version: known.serverVersion,
  kind: known.kind,
  prepared: known.prepared,
  from_lsn: known.fromLsn,
  to_lsn: known.toLsn,
  last_lsn: known.lastLsn,
  binlog,
  replica_info: known.replica,
  galera_info: known.galera,
  partial: known.partial,
  layers: known.layers,
  compression: known.innerCompression,
  encrypted: known.innerEncryption,
  stored_bytes: known.storedBytes,
  data_bytes: known.dataBytes,
  files: known.files,
  complete: known.complete,
  started: known.startTime,
  ended: known.endTime,
  problem: problem && errorAsJson(problem),
})

function lines(found: BackupDescription, flags: InspectFlags): string[] {
  const rows: [string, string | null][] = [
    ['backup', found.name],
    ['made by', found.family && [found.family, found.toolVersion].filter(Boolean).join(' ')],
    ['server', found.serverVersion],
    ['type', found.kind && `${found.kind}${found.prepared ? ', prepared' : ''}`],
    ['LSN', found.lastLsn === null ? null : `from ${found.fromLsn} to ${found.toLsn}, last ${found.lastLsn}`],
    ['binlog', found.binlog && `${found.binlog.file} position ${found.binlog.position}`],
    ['GTID', found.binlog?.gtid || null],
    ...special(found),
    ['taken', found.startTime && `${found.startTime} to ${found.endTime}`],
    ['packed in', found.layers.join(', then ') || (isSeen(found) ? 'nothing' : null)],
    ['files are', isSeen(found) ? packing(found) : null],
    ['stored', found.storedBytes === null ? null : formatBytes(found.storedBytes)],
    [
      'extracted',
      found.dataBytes === null
        ? null
        : `${formatBytes(found.dataBytes)}${found.files === null ? '' : ` in ${found.files} files`}`,
    ],
    ['complete', found.complete === null ? null : found.complete ? 'yes' : 'no'],
  ]
  const known = rows.filter((row): row is [string, string] => row[1] !== null)
  const unknown = rows.filter(([, value]) => value === null).map(([name]) => name)
  const width = Math.max(...rows.map(([name]) => name.length))
  return [
    ...known.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
    ...(unknown.length > 0 && !found.problem && !(flags.full && found.complete === null)
      ? [`${'unknown'.padEnd(width)}  ${unknown.join(', ')}: ${whyUnknown(found)}`]
      : []),
  ]
}

/** Rows that only some backups have. */
function special({ replica, galera, partial, hasMysqlSchema }: BackupDescription): [string, string][] {
  const part =
    partial && `yes: only some databases or tables${hasMysqlSchema === false ? ', without the mysql schema' : ''}`
  const rows: [string, string | null | false][] = [
    ['replica', replica],
    ['galera', galera],
    ['partial', part],
  ]
  return rows.filter((row): row is [string, string] => Boolean(row[1]))
}

/** Whether at least the first file was seen; otherwise a key is missing, or it is no backup. */
const isSeen = ({ problem, files }: BackupDescription): boolean => problem === null || files !== null

function whyUnknown({ complete, innerCompression, innerEncryption }: BackupDescription): string {
  if (complete === null) return 'told at the end of the stream; --full reads all of it'
  if (innerCompression === null && !innerEncryption) return 'the backup does not tell'
  return 'in files that only the backup tool unpacks, once they are extracted'
}

const packing = ({ innerCompression, innerEncryption }: BackupDescription): string =>
  [innerCompression && `compressed (.${innerCompression})`, innerEncryption && 'encrypted (.xbcrypt)']
    .filter(Boolean)
    .join(', ') || 'as they are'
