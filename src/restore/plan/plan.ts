import type { BackupDescription } from '../../backup/backup.ts'
import type { Phase } from '../../phases.ts'
import type { Command } from '../../tool/command.ts'

/**
 * A restore as data: `--dry-run` prints it, the coordinator runs it, tests read it. No secret is in it: keys are files,
 * named by path.
 */
export interface Plan {
  datadir: string
  targetDir: string
  /** True where the source directory itself becomes the target dir (`--in-place`). */
  inPlace: boolean
  tool: PlannedTool
  memory: { bytes: number; reason: string } | null
  owner: { name: string; uid: number; gid: number } | null
  deadlineMs: number | null
  /** What move-back has to do, known once everything is extracted: 0 bytes where it only renames. */
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
  /** What a person calls it: the file's or directory's name. */
  name: string
  /** Path as given, or `-` for standard input. */
  source: string
  description: BackupDescription
  /** The source is an extracted or prepared directory. */
  directorySource: boolean
  /** Where it is extracted: the target dir for the full, a dir of its own for an incremental. */
  directory: string
  /** What lies there once it is extracted; null before. */
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
  /** Bytes of the source through decrypt and decompress stages into the stream extractor. */
  | (StepBase & { kind: 'extract'; stages: readonly Command[]; into: string })
  /** A directory source is copied (reflinked where the file system can). */
  | (StepBase & { kind: 'copy'; command: Command; into: string })
  /** Files compressed inside the stream that the extractor could not decompress itself. */
  | (StepBase & { kind: 'decompress'; command: Command; directory: string })
  | (StepBase & { kind: 'prepare'; command: Command; directory: string; incrementalDir: string | null; last: boolean })
  | (StepBase & { kind: 'move_back'; command: Command })
  | (StepBase & { kind: 'verify' })
  | (StepBase & { kind: 'ownership' })
  | (StepBase & { kind: 'start_check'; command: Command })
