import type { ErrorCode } from '../errors.ts'

/**
 * What a tool prints, as data. Only the files `…-grammar.ts` and `…-wording.ts` here know a tool's wording; all other
 * code knows these events. LSNs are in bytes of redo and exact up to 2^53.
 */
export type ToolEvent =
  | { type: 'version'; version: string }
  | { type: 'buffer_pool'; bytes: number }
  /**
   * xtrabackup: what it was told, by its options and by the backup's own. `newRedoBytes`: size of the redo files that
   * the server will have, which 2.4 makes itself. Null where the line does not say.
   */
  | { type: 'prepare_options'; applyLogOnly: boolean | null; newRedoBytes: number | null }
  /** xtrabackup: `xtrabackup_logfile detected: size=S, start_lsn=(N)`. */
  | { type: 'redo_found'; sizeBytes: number; startLsn: number }
  /** xtrabackup smart memory estimation. */
  | { type: 'memory_estimate'; parseBytes: number; frames: number }
  /** The LSN recovery starts from. */
  | { type: 'checkpoint'; lsn: number }
  /** MariaDB: from this LSN on the redo does not fit in memory and is applied batch by batch. */
  | { type: 'multi_batch'; lsn: number }
  /**
   * Redo read and parsed up to here. LSNs may come twice: xtrabackup 2.4 reads all redo once more from the checkpoint
   * where it does not fit in memory, MariaDB reads a multi-batch log again while it applies it.
   */
  | { type: 'redo_scanned'; lsn: number }
  /** xtrabackup 2.4: the first pass has read all redo, up to the highest LSN so far. */
  | { type: 'first_pass_ended' }
  /** MariaDB: the LSN at which the redo ends. */
  | { type: 'end_of_log'; lsn: number }
  /** xtrabackup: a batch begins. `pages` are the pages it touches; null for 2.4, which does not print them. */
  | { type: 'batch_started'; pages: number | null }
  /** xtrabackup: percent of the batch's pages that were queued, 0-100. */
  | { type: 'batch_percent'; percent: number }
  | { type: 'batch_completed' }
  /**
   * MariaDB `To recover: …`: pages left in the batch now running. `lsn` is where that batch ends in the redo and
   * `endLsn` the end of the log; both null in the last or only batch.
   */
  | { type: 'pages_left'; pages: number; lsn: number | null; endLsn: number | null }
  | { type: 'rollback_found'; rows: number }
  | { type: 'rollback_started'; rows: number }
  /** Percent of the rows of the transaction now rolled back, 0-100. */
  | { type: 'rollback_percent'; percent: number }
  | { type: 'rollback_completed' }
  /** An incremental's delta of one file begins to be applied; `file` is relative to the incremental's directory. */
  | { type: 'delta_apply'; file: string }
  /** Move-back, copy-back and decompress, file by file; the path as printed. */
  | { type: 'file_started'; file: string }
  | { type: 'file_done' }
  | { type: 'shutdown_started' }
  | { type: 'shutdown_completed'; lsn: number | null }
  /** xtrabackup 2.4: a new redo file of so many bytes begins; bytes of it written so far; all files are made. */
  | { type: 'redo_file_started'; bytes: number }
  | { type: 'redo_file_written'; bytes: number }
  | { type: 'redo_files_created' }
  /** The redo changes a file that the backup does not hold; the tool goes on without it. */
  | { type: 'missing_tablespace'; text: string }
  /** InnoDB finds no free pages: with a pool that is too small, a recovery never ends. */
  | { type: 'starved' }
  /**
   * A server applies relay logs; it has ended that, at the position it was told (`reached`) or before. `position`, as
   * file:offset in the source's binlogs, is where the first transaction begins that it did not apply.
   */
  | { type: 'apply_started' }
  | { type: 'apply_ended'; reached: boolean; position: string | null }
  | { type: 'completed_ok' }
  /** A line that names the cause of a failure. */
  | { type: 'failure'; code: ErrorCode; text: string }

  /**
   * A warning or error line with no known meaning; `crash`: the tool caught a signal of its own, and is about to exit.
   */
  | { type: 'complaint'; level: 'warning' | 'error' | 'crash'; text: string }

/**
 * Turns a tool's lines into events; one per tool process, since it may remember lines. `complete` is false for a line
 * whose newline has not come: the same line comes again, longer.
 */
export type Grammar = (line: string, complete: boolean) => readonly ToolEvent[]
