import { extractGrammar } from './extract-grammar.ts'
import { mariadbBackupGrammar } from './mariadb-backup-grammar.ts'
import { moveBackCommand } from './move-back.ts'
import type { BackupVersions, Fit, ToolFamily } from './tool.ts'
import { parseVersion, seriesOf, type Version } from './version.ts'

const MIB = 1024 * 1024

/** MariaDB's mariadb-backup (mariabackup until 10.4) and mbstream. */
export const mariadbBackup: ToolFamily = {
  family: 'mariadb-backup',
  programs: ['mariadb-backup', 'mariabackup'],
  extractors: ['mbstream'],
  // 11.x writes the new names and reads both; 10.x knows the old ones only.
  metadataFiles: {
    checkpoints: ['mariadb_backup_checkpoints', 'xtrabackup_checkpoints'],
    info: ['mariadb_backup_info', 'xtrabackup_info'],
    binlogInfo: ['mariadb_backup_binlog_info', 'xtrabackup_binlog_info'],
  },
  // 32 MiB is the smallest that a captured prepare finished with (2.2 GB of redo, 11.8).
  memoryFloorBytes: 32 * MIB,
  defaultMemoryBytes: 96 * MIB,
  version: program => ({ file: program, args: ['--no-defaults', '--version'] }),
  parseVersion: output => /based on MariaDB server (\S+)/.exec(output)?.[1] ?? null,
  versionFits,
  // MDEV-39408, fixed in these two series; of others nobody has said so.
  refusesUnsafePaths(toolVersion) {
    const version = parseVersion(toolVersion)
    if (version === null) return false
    const { major, minor, patch } = version
    return (major === 10 && minor === 11 && patch >= 17) || (major === 11 && minor === 8 && patch >= 7)
  },
  extract: ({ extractor, directory, parallel }) => ({
    file: extractor,
    args: ['-x', '-C', directory, ...(parallel > 1 ? ['-p', String(parallel)] : [])],
  }),
  // qpress is the only compression it ever had, and mbstream cannot undo it.
  decompress: ({ program, directory, parallel, innerSuffixes }) =>
    innerSuffixes.includes('.qp')
      ? {
          file: program,
          args: [
            '--no-defaults',
            '--decompress',
            '--remove-original',
            `--parallel=${parallel}`,
            `--target-dir=${directory}`,
          ],
        }
      : null,
  // No --no-defaults: with it the backup's own backup-my.cnf is not read either (tried), and without it nothing else
  // is.
  prepare: ({ program, targetDir, incrementalDir, memoryBytes }) => ({
    file: program,
    args: [
      '--prepare',
      `--target-dir=${targetDir}`,
      ...(incrementalDir === null ? [] : [`--incremental-dir=${incrementalDir}`]),
      `--use-memory=${memoryBytes}`,
    ],
  }),
  moveBack: moveBackCommand,
  grammar: mariadbBackupGrammar,
  extractGrammar,
}

/** The redo format changed in 10.5 and in 10.8, and no version recovers another format's redo. */
const redoGeneration = ({ major, minor }: Version): string =>
  major > 10 || minor >= 8 ? '10.8 or later' : minor >= 5 ? '10.5 to 10.7' : '10.4 or earlier'

function versionFits(toolVersion: string | null, backup: BackupVersions): Fit {
  const tool = parseVersion(toolVersion ?? '')
  const made = parseVersion(backup.server ?? '') ?? parseVersion(backup.tool ?? '')
  if (tool === null) return { fits: true, warning: 'the version of mariadb-backup is unknown' }
  if (made === null) return { fits: true, warning: 'the backup does not say which version made it' }

  const have = `mariadb-backup ${seriesOf(tool)}`
  const need = seriesOf(made)
  if (made.major < 10) return { fits: false, reason: `the backup is of MySQL ${need}: it needs xtrabackup` }
  if (made.major > tool.major || (made.major === tool.major && made.minor > tool.minor)) {
    const names = made.major > 10 && tool.major === 10 ? '; it does not know the metadata files of 11.x' : ''
    return { fits: false, reason: `${have} is older than the backup's MariaDB ${need}${names}` }
  }
  if (redoGeneration(tool) !== redoGeneration(made)) {
    return { fits: false, reason: `${have} cannot read the redo log of MariaDB ${need} (${redoGeneration(made)})` }
  }
  const same = seriesOf(tool) === need
  return {
    fits: true,
    warning: same ? null : `${have} restores a backup of MariaDB ${need}: start a ${seriesOf(tool)} server on it`,
  }
}
