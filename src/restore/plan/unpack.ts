import { mkdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import type { BackupDescription } from '../../backup/backup.ts'
import type { InnerCompression } from '../../backup/file-name.ts'
import { ENCRYPTED, type OuterFormat } from '../../backup/formats.ts'
import type { RestoreOptions } from '../../config/options.ts'
import { RestoreError } from '../../errors.ts'
import { findProgram } from '../../process/find-program.ts'
import type { Filters } from '../../source/filter.ts'
import { checkKeyFile } from '../../source/key-file.ts'
import type { Command } from '../../tool/command.ts'
import { decompressStage, gpgStage, opensslStage } from '../../tool/filters.ts'
import type { InnerKey } from '../../tool/tool.ts'
import type { Plan } from './plan.ts'

/** What decrypts and decompresses a backup: the commands around a stream, the key, the programs for single files. */

/** The commands for the layers around a stream. gpg gets a home of its own in `scratchDir`. */
export function filterCommands({ opensslCipher }: Pick<RestoreOptions, 'opensslCipher'>, scratchDir: string): Filters {
  return (format, keyFile) => {
    if (format === 'openssl') return opensslStage({ keyFile: keyFile ?? '', cipher: opensslCipher })
    if (format !== 'gpg') return decompressStage(format as Exclude<OuterFormat, 'xbstream' | 'gpg' | 'openssl'>)
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

/** Throws `tool_missing` before the extract; the tool itself would notice only after it. */
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
export function streamCheckCommand(): Command {
  const main = join(import.meta.dirname, '../..', `main${extname(import.meta.filename)}`)
  return { file: process.execPath, args: [main, 'check-stream'] }
}
