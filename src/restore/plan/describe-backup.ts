import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { opendir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { BackupDescription } from '../../backup/backup.ts'
import { type InnerCompression, splitFileName } from '../../backup/file-name.ts'
import { ENCRYPTED } from '../../backup/formats.ts'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { onSameFileSystem, readAtMost } from '../../process/file-system.ts'
import { findProgram } from '../../process/find-program.ts'
import { selfCommand } from '../../process/self-command.ts'
import { openDirectorySource } from '../../source/directory.ts'
import type { Filters } from '../../source/filter.ts'
import { inspectSource } from '../../source/inspect.ts'
import { checkKeyFile } from '../../source/key-file.ts'
import type { Command } from '../../tool/command.ts'
import { decompressStage, gpgStage, opensslStage } from '../../tool/filters.ts'
import { checkPathLength } from '../../tool/path-length.ts'
import type { InnerKey } from '../../tool/tool.ts'
import type { PlanParts } from './build-plan.ts'
import type { ExtractedFacts, Plan } from './plan.ts'
import { checkOutsideFiles, type OutsideFile } from './prechecks.ts'

/** The commands for the layers around a stream. gpg gets a home of its own in `scratchDir`. */
export function filterCommands({ opensslCipher }: Pick<RestoreOptions, 'opensslCipher'>, scratchDir: string): Filters {
  return (format, keyFile) => {
    if (format === 'openssl') return opensslStage({ keyFile: keyFile ?? '', cipher: opensslCipher })
    if (format === 'brotli') return selfCommand('unpack', 'brotli')
    if (format === 'libsodium') return selfCommand('unpack', 'libsodium', keyFile ?? '')
    if (format !== 'gpg') return decompressStage(format)
    const homedir = join(scratchDir, 'gnupg')
    mkdirSync(homedir, { recursive: true, mode: 0o700 })
    return gpgStage({ keyFile: keyFile ?? '', homedir })
  }
}

/** Throws `key_missing`, `wrong_key` or `usage` where the key file cannot decrypt this backup. */
export function checkKey({ name, layers, innerEncryption }: BackupDescription, keyFile: string | null): void {
  if (!innerEncryption && !layers.some(format => ENCRYPTED.has(format))) return
  if (keyFile === null) throw new RestoreError('key_missing', `${name} is encrypted`)
  checkKeyFile(keyFile)
  if (innerEncryption && innerKeyOf(keyFile) === null)
    throw new RestoreError('wrong_key', `${keyFile} does not hold 16, 24 or 32 bytes, as xtrabackup's keys do`)
}

/** The length of xtrabackup's key gives its cipher. Null for any other length: that is a key for gpg or openssl. */
export function innerKeyOf(keyFile: string | null): InnerKey | null {
  if (keyFile === null) return null
  const { length } = readFileSync(keyFile)
  const algorithm = ({ 16: 'AES128', 24: 'AES192', 32: 'AES256' } as const)[length]
  return algorithm ? { keyFile, algorithm } : null
}

/** Programs that `--decompress` starts for each file. */
const UNPACKERS: Readonly<Record<InnerCompression, string>> = { qp: 'qpress', lz4: 'lz4', zst: 'zstd' }

/** Throws `tool_missing` before the extract; the tool itself would fail only after it. */
export function checkUnpackers({ steps, elements }: Plan): void {
  for (const { kind, element } of steps) {
    const { name, description } = elements[element - 1]!
    const packed = kind === 'decompress' ? description.innerCompression : null
    if (packed === null) continue
    const program = UNPACKERS[packed]
    try {
      findProgram(program)
    } catch (cause) {
      const from = program === 'qpress' ? ", from Percona's repositories where the system has none" : ''
      throw new RestoreError('tool_missing', `the files in ${name} end in .${packed}: ${program} is not on PATH`, {
        hint: `install ${program}${from}`,
        cause,
      })
    }
  }
}

/** This program's own stage that refuses unsafe paths: src/source/check-stream.ts in a process of its own. */
export const streamCheckCommand = (): Command => selfCommand('check-stream')

/** Files of an extracted or restored directory. */
export interface DirectoryStats extends ExtractedFacts {
  /** Files that a finished restore must not hold: deltas, and files that are still packed. Relative paths. */
  leftovers: readonly string[]
}

export const REDO_FILES: readonly string[] = ['ib_logfile0', 'xtrabackup_logfile']

/** Walks a directory. Sizes are apparent bytes. */
export async function directoryStats(directory: string): Promise<DirectoryStats> {
  let redoBytes: number | null = null
  let dataFileBytes = 0
  let files = 0
  const deltaFiles: Record<string, number> = {}
  const leftovers: string[] = []
  for await (const path of filesUnder(directory)) {
    const { size } = await stat(path)
    const name = relative(directory, path)
    files += 1
    if (REDO_FILES.includes(name)) redoBytes = size
    else dataFileBytes += size
    if (name.endsWith('.delta')) deltaFiles[name] = size
    const { compression, encrypted } = splitFileName(name)
    if (isDelta(name) || compression !== null || encrypted) leftovers.push(name)
  }
  return { redoBytes, dataFileBytes, files, deltaFiles, leftovers }
}

const isDelta = (name: string): boolean => /\.delta(\.meta)?$/.test(name)

/** Every regular file below a directory, except in `lost+found`; symbolic links are not followed. */
export async function* filesUnder(directory: string): AsyncGenerator<string> {
  for await (const entry of await opendir(directory)) {
    const path = join(directory, entry.name)
    if (entry.isDirectory() && entry.name !== 'lost+found') yield* filesUnder(path)
    else if (entry.isFile()) yield path
  }
}

/** Files for DATA DIRECTORY tables and external tablespaces, as `.isl` files and xtrabackup_tablespaces name them. */
export async function outsideFiles(directory: string): Promise<OutsideFile[]> {
  const found: OutsideFile[] = []
  for await (const path of filesUnder(directory)) {
    const name = relative(directory, path)
    if (name.endsWith('.isl')) found.push({ name, path: textOf(path, LARGEST_ISL_BYTES).replace(/\n$/, '') })
    if (name === 'xtrabackup_tablespaces')
      for (const [, file = ''] of textOf(path, LARGEST_LIST_BYTES).matchAll(/"file_name"\s*:\s*"((?:[^"\\]|\\.)*)"/g))
        found.push({ name, path: JSON.parse(`"${file}"`) })
  }
  return found
}

const LARGEST_ISL_BYTES = 4096
const LARGEST_LIST_BYTES = 16 << 20

function textOf(path: string, mostBytes: number): string {
  const bytes = readAtMost(path, mostBytes + 1)
  if (bytes.length <= mostBytes) return bytes.toString()
  throw new RestoreError('source_corrupt', `${path} has over ${mostBytes} bytes: too large for what it is`)
}

/** What the metadata of an extracted directory say. */
export async function describeDirectory(directory: string): Promise<BackupDescription> {
  const source = openDirectorySource(directory)
  try {
    return await inspectSource(source, {
      filters: format => {
        throw new RestoreError('internal', `a directory has no ${format} layer`)
      },
      keyFile: null,
      full: true,
    })
  } finally {
    await source.close()
  }
}

/**
 * Completes the parts of the plan with what an extracted element holds. No tool reports a stream that is empty or ends
 * between two chunks; the metadata files, which come last, are missing then. Throws `source_empty`, `source_truncated`,
 * `backup_incomplete`, `target_lost`, `extract_failed` (files are still compressed), or the problem that the metadata
 * show.
 */
export async function refineParts(parts: PlanParts, position: number, directory: string): Promise<PlanParts> {
  const before = parts.elements[position - 1]!
  if (!existsSync(directory)) throw new RestoreError('target_lost', `${directory} disappeared after the extract`)
  const { leftovers, ...extracted } = await directoryStats(directory)
  const found = await describeDirectory(directory)
  if (extracted.files === 0)
    throw new RestoreError('source_empty', `nothing was extracted from ${before.name}: the stream holds no file`)
  if (found.lastLsn === null)
    throw before.source.kind === 'directory'
      ? new RestoreError('backup_incomplete', `${before.name} has no readable checkpoints file`)
      : new RestoreError('source_truncated', `${before.name} ends before its metadata files, which come last`)
  if (found.problem) throw new RestoreError(found.problem.code, found.problem.message)
  const packed = leftovers.filter(name => !isDelta(name))
  if (packed.length > 0)
    throw new RestoreError('extract_failed', `${packed.length} files of ${before.name} are still packed: ${packed[0]}`)
  const { layers, innerCompression, innerEncryption, storedBytes } = before.description
  const description = { ...found, name: before.name, layers, innerCompression, innerEncryption, storedBytes }
  checkPathLength(parts.options.datadir, 'the datadir', found.longestNameBytes)
  const outside = await outsideFiles(directory)
  checkOutsideFiles(outside, { ...parts.options, targetDir: directory }, parts.options)
  const elements = parts.elements.map((element, index) =>
    index === position - 1
      ? { ...element, description, extracted: { ...extracted, hasOutsideFiles: outside.length > 0 } }
      : element,
  )
  const full = elements[0]!.extracted
  const places = [parts.options.datadir, ...outside.map(({ path }) => path)]
  const renames = places.every(path => onSameFileSystem(directory, path)) && !parts.moveBack?.copyBytes
  const copyBytes = renames ? 0 : (full?.dataFileBytes ?? 0)
  return { ...parts, elements, moveBack: { files: full?.files ?? 0, copyBytes } }
}
