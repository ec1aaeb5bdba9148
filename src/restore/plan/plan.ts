import type { BackupDescription } from '../../backup/backup.ts'
import type { Phase } from '../../phases.ts'
import type { UserIds } from '../../process/start-tool.ts'
import type { SourceRef } from '../../source/source-ref.ts'
import type { Command } from '../../tool/command.ts'

/**
 * A restore as data: `--dry-run` prints it, the coordinator runs it, tests read it. It holds no secret: keys are
 * named by the paths of their files.
 */
export interface Plan {
  datadir: string
  targetDir: string
  /** True where the source directory is the target dir (`--in-place`). */
  inPlace: boolean
  tool: PlannedTool
  memory: { bytes: number; reason: string } | null
  owner: { name: string; uid: number; gid: number } | null
  /** The user that tools run as, where it is not the agent's own. */
  runAs: UserIds | null
  deadlineMs: number | null
  /** The work of move-back, known after extract; 0 bytes where it only renames. */
  moveBack: { files: number; copyBytes: number } | null
  elements: readonly PlanElement[]
  /** In the order they run. */
  steps: readonly PlanStep[]
}

export interface PlannedTool {
  family: 'mariadb-backup' | 'xtrabackup'
  path: string
  /** mbstream or xbstream. */
  extractor: string
  version: string
}

export interface PlanElement {
  /** Name of the file or directory, for people. */
  name: string
  /** As it was opened: a path is a `file` or a `directory`, which is extracted or prepared already. */
  source: SourceRef
  description: BackupDescription
  /** Where it is extracted: the full to the target dir, each incremental to a directory of its own. */
  directory: string
  /** What it is after extract; null before. */
  extracted: ExtractedFacts | null
}

export interface ExtractedFacts {
  /** Size of ib_logfile0 or xtrabackup_logfile. */
  redoBytes: number | null
  /** All other files. */
  dataFileBytes: number
  files: number
  /** Sizes by path relative to the element's directory. */
  deltaFiles: Readonly<Record<string, number>>
}

interface StepBase {
  phase: Phase
  /** Position in the chain, from 1. */
  element: number
}

export type PlanStep =
  /** The source's bytes through decrypt and decompress stages into the stream extractor. */
  | (StepBase & { kind: 'extract'; stages: readonly Command[]; into: string })
  /** Copies a directory source, as reflinks where the file system has them. */
  | (StepBase & { kind: 'copy'; command: Command; into: string })
  /** Decompresses files that the extractor could not. */
  | (StepBase & { kind: 'decompress'; command: Command; directory: string })
  | (StepBase & { kind: 'prepare'; command: Command; directory: string; incrementalDir: string | null; last: boolean })
  | (StepBase & { kind: 'move_back'; command: Command })
  | (StepBase & { kind: 'verify' })
  | (StepBase & { kind: 'ownership' })
  | (StepBase & { kind: 'start_check'; command: Command })
