import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { systemError } from '../../process/system-error.ts'
import { moveFile } from './move-files.ts'

/**
 * Files of a backup that a server must not find in its datadir, or that a person may need later. They are kept in the
 * run dir: the binlog position is what a replica or a point-in-time recovery begins from.
 */
const METADATA =
  /^(xtrabackup|mariadb_backup)_(checkpoints|info|binlog_info|slave_info|galera_info|tablespaces|master_key_id)$|^backup-my\.cnf$/
/** Left in the datadir by tools; auto.cnf would make two servers share one UUID. */
const REMNANT = /^(xtrabackup|mariadb_backup)_|^backup-my\.cnf$|^auto\.cnf$/

/** Copies the metadata files of an element into `<run dir>/backup/<position>`. Throws `disk_full`, `not_permitted`. */
export function keepMetadata(directory: string, runDir: string, position: number): void {
  const folder = join(runDir, 'backup', String(position))
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    for (const name of filesIn(directory).filter(name => METADATA.test(name)))
      copyFileSync(join(directory, name), join(folder, name))
  } catch (thrown) {
    throw systemError(thrown, `cannot keep the backup's metadata in the state dir (${folder})`)
  }
}

/** Moves what the server must not find out of the datadir into `<run dir>/remnants`; returns the names. Throws as `keepMetadata`. */
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

/** Files at the top of a directory. A folder there is a database, whatever its name: `xtrabackup_history` is somebody's. */
const filesIn = (directory: string): string[] =>
  readdirSync(directory, { withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => entry.name)

/** An index of binlogs or relay logs that lists files which are not here: the source's, of no use to this server. */
function isForeignBinlogIndex(datadir: string, name: string): boolean {
  if (!name.endsWith('.index')) return false
  const listed = readFileSync(join(datadir, name), 'latin1').split('\n').filter(Boolean)
  return listed.length > 0 && listed.some(path => !existsSync(join(datadir, basename(path))))
}
