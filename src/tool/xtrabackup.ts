import { extractGrammar } from './extract-grammar.ts'
import { moveBackCommand } from './move-back.ts'
import type { DecompressOptions, ExtractOptions, InnerSuffix, ToolFamily } from './tool.ts'
import { atLeast } from './version.ts'
import { xtrabackupFits } from './xtrabackup-fits.ts'
import { xtrabackupGrammar } from './xtrabackup-grammar.ts'

const MIB = 1024 * 1024

/** Percona XtraBackup 2.4 to 9.x and xbstream. */
export const xtrabackup: ToolFamily = {
  family: 'xtrabackup',
  programs: ['xtrabackup'],
  extractors: ['xbstream'],
  metadataFiles: {
    checkpoints: ['xtrabackup_checkpoints'],
    info: ['xtrabackup_info'],
    binlogInfo: ['xtrabackup_binlog_info'],
  },
  // The default of 100 MB becomes a 128 MiB pool, in which InnoDB's recovery was seen to starve for ever.
  memoryFloorBytes: 256 * MIB,
  defaultMemoryBytes: 100 * MIB,
  version: program => ({ file: program, args: ['--no-defaults', '--version'] }),
  parseVersion: output => /\bversion (\S+) based on MySQL server/.exec(output)?.[1] ?? null,
  versionFits: xtrabackupFits,
  refusesUnsafePaths: () => false,
  extract: options => ({
    file: options.extractor,
    args: [
      '-x',
      '-C',
      options.directory,
      ...(options.parallel > 1 ? [`--parallel=${options.parallel}`] : []),
      ...(options.key !== null && options.innerSuffixes.includes('.xbcrypt')
        ? [
            `--decrypt=${options.key.algorithm}`,
            `--encrypt-key-file=${options.key.keyFile}`,
            `--encrypt-threads=${options.parallel}`,
          ]
        : []),
      ...(extractorDecompresses(options) ? ['--decompress', `--decompress-threads=${options.parallel}`] : []),
    ],
  }),
  decompress,
  // No --no-defaults: it would keep the backup's own backup-my.cnf (page size, file names) from being read as well.
  // With --prepare and a target dir no other file is read. --use-free-memory-pct stays away: beside --use-memory it
  // does nothing.
  prepare: ({
    program,
    toolVersion,
    targetDir,
    incrementalDir,
    memoryBytes,
    parallel,
    isLast,
    rollbackPreparedTrx,
  }) => ({
    file: program,
    args: [
      '--prepare',
      ...(isLast ? [] : ['--apply-log-only']),
      ...(isLast && rollbackPreparedTrx ? ['--rollback-prepared-trx'] : []),
      `--target-dir=${targetDir}`,
      ...(incrementalDir === null ? [] : [`--incremental-dir=${incrementalDir}`]),
      `--use-memory=${memoryBytes}`,
      ...(parallel > 1 && preparesInParallel(toolVersion) ? [`--parallel=${parallel}`] : []),
    ],
  }),
  moveBack: moveBackCommand,
  grammar: xtrabackupGrammar,
  extractGrammar,
}

/** Since which version xbstream undoes a compression by itself. */
const XBSTREAM_DECOMPRESSES: Readonly<Record<Exclude<InnerSuffix, '.xbcrypt'>, string>> = {
  '.qp': '8.0.5',
  '.lz4': '8.0.5',
  '.zst': '8.0.30-23',
}

const compressions = (suffixes: readonly InnerSuffix[]) => suffixes.filter(suffix => suffix !== '.xbcrypt')

/** Only where it can do all of them: a mixture half done would leave two kinds of leftovers. */
function extractorDecompresses({ toolVersion, innerSuffixes }: Pick<ExtractOptions, 'toolVersion' | 'innerSuffixes'>) {
  const found = compressions(innerSuffixes)
  return found.length > 0 && found.every(suffix => atLeast(toolVersion, XBSTREAM_DECOMPRESSES[suffix]))
}

function decompress(options: DecompressOptions) {
  if (compressions(options.innerSuffixes).length === 0 || extractorDecompresses(options)) return null
  return {
    file: options.program,
    args: [
      '--no-defaults',
      '--decompress',
      '--remove-original',
      `--parallel=${options.parallel}`,
      `--target-dir=${options.directory}`,
    ],
  }
}

/** Deltas in parallel came to 8.0 and 8.4 in different builds. */
function preparesInParallel(toolVersion: string | null): boolean {
  return atLeast(toolVersion, '8.1') ? atLeast(toolVersion, '8.4.0-3') : atLeast(toolVersion, '8.0.35-33')
}
