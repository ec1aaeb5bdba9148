import type { Command } from './command.ts'
import type { MoveBackOptions } from './tool.ts'

/**
 * Move-back, the same for both families. No my.cnf may change where files go, yet `--no-defaults` would be wrong: the
 * tool then takes `ibdata1:10M:autoextend` for the system tablespace, and a backup with other names stops half-way with
 * a half-filled datadir (mariadb-backup 10.11, tried); xtrabackup 2.4 would also leave undo tablespaces and redo files
 * behind, of which it knows the number from its options alone. So the only defaults file is the backup's own. What that
 * says of an undo directory is overruled: `./` gave `<datadir>.//undo001`, beside the datadir.
 */
export function moveBackCommand({ program, targetDir, datadir, parallel }: MoveBackOptions): Command {
  return {
    file: program,
    args: [
      // Must be the first argument.
      `--defaults-file=${targetDir}/backup-my.cnf`,
      '--move-back',
      `--target-dir=${targetDir}`,
      `--datadir=${datadir}`,
      `--innodb-undo-directory=${datadir}`,
      ...(parallel > 1 ? [`--parallel=${parallel}`] : []),
    ],
  }
}
