import { readFileSync } from 'node:fs'
import type { BackupDescription } from '../../backup/backup.ts'
import { ENCRYPTED } from '../../backup/formats.ts'
import { RestoreError } from '../../errors.ts'
import { checkKeyFile } from '../../source/key-file.ts'
import type { InnerKey } from '../../tool/tool.ts'

/** Throws `key_missing`, `wrong_key` or `usage` where this backup cannot be decrypted with that key file. */
export function checkKey({ name, layers, innerEncryption }: BackupDescription, keyFile: string | null): void {
  if (!innerEncryption && !layers.some(format => ENCRYPTED.has(format))) return
  if (keyFile === null) throw new RestoreError('key_missing', `${name} is encrypted`)
  checkKeyFile(keyFile)
  if (innerEncryption && innerKeyOf(keyFile) === null)
    throw new RestoreError('wrong_key', `${keyFile} does not hold 16, 24 or 32 bytes, as xtrabackup's keys do`)
}

/** xtrabackup's cipher follows from the length of the key. Null: it is no such key, so it is for gpg or openssl. */
export function innerKeyOf(keyFile: string | null): InnerKey | null {
  if (keyFile === null) return null
  const { length } = readFileSync(keyFile)
  const algorithm = ({ 16: 'AES128', 24: 'AES192', 32: 'AES256' } as const)[length]
  return algorithm ? { keyFile, algorithm } : null
}
