import {
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { parseCheckpoints } from '../../backup/checkpoints.ts'
import { parseInfo } from '../../backup/info.ts'
import { safeConfig } from '../../backup/safe-config.ts'
import { RestoreError } from '../../errors.ts'
import { moveFile, readAtMost } from '../../process/file-system.ts'
import { systemError } from '../../process/system-error.ts'

/**
 * Files of a backup that a server must not find in its datadir, or that the user may need later. The run dir keeps
 * them: a replica or a point-in-time recovery starts at their binlog position.
 */
const METADATA =
  /^(xtrabackup|mariadb_backup)_(checkpoints|info|binlog_info|slave_info|galera_info|tablespaces|master_key_id)$|^backup-my\.cnf$/
/** Files that tools leave in the datadir. With auto.cnf two servers would share one UUID. */
const REMNANT = /^(xtrabackup|mariadb_backup)_|^backup-my\.cnf$|^auto\.cnf$/

/** Where the metadata files of an element are kept. */
export const metadataDir = (runDir: string, position: number): string => join(runDir, 'backup', String(position))

/** Copies the metadata files of an element to `metadataDir`. Throws `disk_full`, `not_permitted`. */
export function keepMetadata(directory: string, runDir: string, position: number): void {
  const folder = metadataDir(runDir, position)
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    for (const name of filesIn(directory).filter(name => METADATA.test(name)))
      copyFileSync(join(directory, name), join(folder, name))
  } catch (thrown) {
    throw systemError(thrown, `cannot keep the backup's metadata in the state dir (${folder})`)
  }
}

/** A tool that is killed as it writes its checkpoints file leaves an empty one: the kept one takes its place. */
export function returnCheckpoints(directory: string, runDir: string, position: number): void {
  for (const name of ['xtrabackup_checkpoints', 'mariadb_backup_checkpoints']) {
    const [path, kept] = [join(directory, name), join(metadataDir(runDir, position), name)]
    if (!existsSync(kept) || isCheckpoints(path)) continue
    copyFileSync(kept, `${path}.new`)
    renameSync(`${path}.new`, path)
  }
}

function isCheckpoints(path: string): boolean {
  try {
    parseCheckpoints(readFileSync(path, 'utf8'), path)
    return true
  } catch {
    return false // absent, empty, or cut
  }
}

const CONFIG = 'backup-my.cnf'

/**
 * Replaces backup-my.cnf, here and in `metadataDir`, by one with allowed settings only; the original stays there as
 * `backup-my.cnf.original`. A file that everybody may write is replaced too, because a tool ignores it. `keyFile` holds
 * the keys of MariaDB's encrypted tables on this host. Returns the names of the settings left out. Throws `key_missing`
 * if the tables are encrypted and it is null.
 */
export function replaceConfig(
  directory: string,
  runDir: string,
  position: number,
  keyFile: string | null,
): readonly string[] {
  const [path, kept] = [join(directory, CONFIG), join(metadataDir(runDir, position), CONFIG)]
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (!stats?.isFile()) return []
  const original = readFileSync(path, 'utf8')
  const { text, dropped, keyFile: named, passwordFile } = safeConfig(original, keyFile)
  if (named !== null && keyFile === null)
    throw new RestoreError('key_missing', `tables of the backup are encrypted; its server had their keys in ${named}`, {
      hint: 'name the key file on this host with --encryption-key-file',
    })
  if (named !== null && keyFile !== null) checkKeyPassword(keyFile, text, passwordFile)
  // A tool does not know the byte order mark of an editor.
  const isPlain = dropped.length === 0 && named === null && !original.startsWith('\ufeff')
  if (isPlain && (stats.mode & 0o022) === 0) return []
  try {
    copyFileSync(path, `${kept}.original`)
    writeFileSync(kept, text, { mode: 0o600 })
    rmSync(`${path}.new`, { force: true })
    writeFileSync(`${path}.new`, text, { mode: 0o640, flag: 'wx' })
    if (process.getuid?.() === 0) chownSync(`${path}.new`, stats.uid, stats.gid)
    renameSync(`${path}.new`, path)
  } catch (thrown) {
    throw systemError(thrown, `cannot replace ${path}`)
  }
  return dropped
}

/** The first bytes of a file that openssl encrypted with a password. A key file without them is plain text. */
const OPENSSL_MAGIC = 'Salted__'

/** Throws `key_missing` where the key file on this host is encrypted and the tools get no password of it. */
function checkKeyPassword(keyFile: string, config: string, passwordFile: string | null): void {
  if (/^file_key_management_filekey=./m.test(config)) return
  if (readAtMost(keyFile, OPENSSL_MAGIC.length).toString('latin1') !== OPENSSL_MAGIC) return
  const where = passwordFile === null ? 'the backup does not say' : `the backup's server had in ${passwordFile}`
  throw new RestoreError('key_missing', `the key file ${keyFile} is encrypted with a password that ${where}`, {
    hint: `decrypt it into a file that only the agent's user can read, and name that with --encryption-key-file: openssl enc -d -aes-256-cbc -md sha1 -in ${keyFile}`,
  })
}

/**
 * Moves what a server must not find from the datadir to `<run dir>/remnants`; returns the names. Throws as
 * `keepMetadata`.
 */
export function moveRemnants(datadir: string, runDir: string): string[] {
  const remnants = filesIn(datadir).filter(name => REMNANT.test(name) || isForeignBinlogIndex(datadir, name))
  const folder = join(runDir, 'remnants')
  try {
    for (const name of remnants) moveFile(join(datadir, name), join(folder, name))
  } catch (thrown) {
    throw systemError(thrown, `cannot keep files of ${datadir} in the state dir (${folder})`)
  }
  return remnants
}

/** Whether any backup of the chain holds only some of the server's tables (`partial = Y` in the kept info file). */
export const isPartial = (runDir: string, elements: number): boolean =>
  Array.from({ length: elements }, (_, index) => metadataDir(runDir, index + 1))
    .flatMap(folder => ['xtrabackup_info', 'mariadb_backup_info'].map(name => join(folder, name)))
    .filter(existsSync)
    .some(path => parseInfo(readFileSync(path, 'utf8'), path).partial === true)

/**
 * Files at the top of a directory. A directory there is a database, whatever its name, such as `xtrabackup_history`.
 */
const filesIn = (directory: string): string[] =>
  readdirSync(directory, { withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => entry.name)

const LARGEST_INDEX_BYTES = 1 << 20

/** An index of binlogs or relay logs that lists files which are not here. It is of no use to this server. */
function isForeignBinlogIndex(datadir: string, name: string): boolean {
  if (!name.endsWith('.index')) return false
  const listed = readAtMost(join(datadir, name), LARGEST_INDEX_BYTES).toString('latin1').split('\n').filter(Boolean)
  return listed.length > 0 && listed.some(path => !existsSync(join(datadir, basename(path))))
}
