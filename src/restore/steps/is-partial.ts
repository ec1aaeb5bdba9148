import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseInfo } from '../../backup/info.ts'

const INFO_FILES = ['xtrabackup_info', 'mariadb_backup_info']

/** Whether any backup of the chain was taken of some tables only, by the metadata kept in the run dir. */
export function isPartial(runDir: string, elements: number): boolean {
  return Array.from({ length: elements }, (_, index) => join(runDir, 'backup', String(index + 1)))
    .flatMap(folder => INFO_FILES.map(name => join(folder, name)))
    .filter(existsSync)
    .some(path => parseInfo(readFileSync(path, 'utf8'), path).partial === true)
}
