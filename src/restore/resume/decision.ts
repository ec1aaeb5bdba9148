import type { ErrorCode } from '../../errors.ts'
import type { FamilyName } from '../../tool/tool.ts'
import { hasBegun, isFinished, isRun, type RunRecord } from '../state/runs.ts'
import type { CleanupLedger, RestoreState } from '../state/state.ts'

/**
 * What an agent decides about the restore that another agent left: two tables, the same as in the README of this
 * folder's parent. Pure: resume.ts and repair.ts find the facts, and do what the row says.
 */

/** An interrupted run, or what else is found, with the facts that decide about it. */
export type Found =
  | { what: 'tools' | 'removal' | 'fetch' | 'sync' | 'relay_logs' | 'apply' | 'start_check' | 'final_sync' }
  | {
      what: 'prepare'
      tool: FamilyName
      /** The first element of the chain. */
      isFull: boolean
      inPlace: boolean
      /** The metadata of the target dir name this incremental already, not the element before. */
      isInBase: boolean
      /** In place, of a full backup: its end was reached, which cannot be done again. See `redoIsLost` of repair.ts. */
      redoIsLost: boolean
    }
  | {
      what: 'move_back'
      /** False: the datadir is noted in the cleanup ledger, and the tool was not started. */
      begun: boolean
      inPlace: boolean
      /** After a reboot: files were copied to another file system and not synced there. */
      isUnsynced: boolean
      /** `replaced`: another directory has the name. `served`: a process has a file open in it. */
      datadir: 'ours' | 'served' | 'replaced' | 'gone'
      hasTargetDir: boolean
      /** Every file of `moved.json` that holds data is where it goes. */
      isComplete: boolean
    }

export interface Decision {
  /** In words, for the README. */
  found: string
  stands: string
  /** Runs that are begun again. */
  undone: 'nothing' | 'the run' | 'this element' | 'the chain up to this element' | 'everything'
  removed: 'nothing' | 'its directory' | 'their directories' | 'half copies' | 'an empty datadir' | 'what was created'
  /** The error that the restore ends with; null where it continues. */
  end: ErrorCode | null
  /** The run counts as finished. */
  finished?: true
}

interface Row<F> extends Decision {
  when: (found: F) => boolean
}

type Prepare = Extract<Found, { what: 'prepare' }>
type MoveBack = Extract<Found, { what: 'move_back' }>

const prepare = (when: (found: Prepare) => boolean) => (found: Found) => found.what === 'prepare' && when(found)
const moveBack = (when: (found: MoveBack) => boolean) => (found: Found) =>
  found.what === 'move_back' && found.begun && !(found.inPlace && found.isUnsynced) && when(found)
const isOurs = ({ datadir }: MoveBack) => datadir === 'ours' || datadir === 'served'

/**
 * MariaDB's base takes the same incremental a second time as long as its metadata name the element before. Percona
 * promises nothing of the kind. A killed prepare of an incremental has used its deltas up: the tool would say
 * `completed OK!` without them, so such an element is fetched again in any case.
 */
const needsChain = ({ tool, isInBase }: Prepare) => tool === 'xtrabackup' || isInBase
/** The element, or the whole chain, would have to be fetched again into a directory that has no other source. */
const isLost = (found: Prepare) => found.inPlace && needsChain(found)
const canPrepareAgain = (found: Prepare) => !needsChain(found) && found.inPlace && found.isFull

const NOTHING = { undone: 'nothing', removed: 'nothing', end: null } as const
const HANDS_OFF = { stands: 'nothing is touched', undone: 'nothing', removed: 'nothing' } as const

/** Exactly one row applies to whatever is found. */
export const INTERRUPTED: readonly Row<Found>[] = [
  {
    found: 'all tools of a run live without the agent, or ended and left their status',
    when: ({ what }) => what === 'tools',
    stands: 'everything: they are adopted',
    ...NOTHING,
  },
  {
    found: 'a removal that had begun (`cleanup.removing`)',
    when: ({ what }) => what === 'removal',
    stands: 'nothing: the restore begins again',
    undone: 'everything',
    removed: 'what was created',
    end: null,
  },
  {
    found: '`fetch`',
    when: ({ what }) => what === 'fetch',
    stands: 'earlier elements',
    undone: 'this element',
    removed: 'its directory',
    end: null,
  },
  {
    found: '`prepare` by mariadb-backup; the target dir does not name this element yet',
    when: prepare(found => !needsChain(found) && !(found.inPlace && found.isFull)),
    stands: 'earlier elements',
    undone: 'this element',
    removed: 'its directory',
    end: null,
  },
  {
    found: '`prepare` by xtrabackup, or the target dir names this element already',
    when: prepare(found => needsChain(found) && !found.inPlace),
    stands: 'later elements',
    undone: 'the chain up to this element',
    removed: 'their directories',
    end: null,
  },
  {
    found: '`prepare` of a full backup by mariadb-backup, `--in-place`',
    when: prepare(found => canPrepareAgain(found) && !found.redoIsLost),
    stands: 'its directory: the tool prepares it again from the same checkpoint, or finishes it',
    undone: 'the run',
    removed: 'nothing',
    end: null,
  },
  {
    found: 'the same; its redo log is gone, or was written anew before a reboot',
    when: prepare(found => canPrepareAgain(found) && found.redoIsLost),
    ...HANDS_OFF,
    end: 'not_prepared',
  },
  {
    found: '`prepare` by xtrabackup, or the target dir names this element already, `--in-place`',
    when: prepare(isLost),
    ...HANDS_OFF,
    end: 'not_prepared',
  },
  {
    found: '`sync`, `relay_logs`, `apply_position`, `apply_check`, `start_check` or `final_sync`',
    when: ({ what }) => what === 'sync' || what === 'relay_logs' || what === 'start_check' || what === 'final_sync',
    stands: 'everything; the run begins again',
    ...NOTHING,
  },
  {
    found: '`apply`',
    when: ({ what }) => what === 'apply',
    stands:
      'what the server had committed: it goes on there, unless it may have been changing what no transaction covers',
    ...NOTHING,
  },
  {
    found: '`move_back` noted, and its tool not started',
    when: found => found.what === 'move_back' && !found.begun,
    stands: 'what was prepared',
    undone: 'nothing',
    removed: 'an empty datadir',
    end: null,
  },
  {
    found: '`move_back`; a power cut took the datadir back',
    when: moveBack(found => found.datadir === 'gone' && found.hasTargetDir),
    stands: 'what was prepared',
    undone: 'the run',
    removed: 'nothing',
    end: null,
  },
  {
    found: '`move_back`; every file is in the datadir, and the target dir is gone',
    when: moveBack(found => isOurs(found) && !found.hasTargetDir && found.isComplete),
    stands: 'everything; the run counts as finished',
    ...NOTHING,
    finished: true,
  },
  {
    found: '`move_back`; files are in both directories',
    when: moveBack(found => found.datadir === 'ours' && found.hasTargetDir),
    stands:
      "files that were moved; InnoDB's own files at the top, and `.isl` files without their `.ibd`, go back, and the tool continues",
    undone: 'nothing',
    removed: 'half copies',
    end: null,
  },
  {
    found: '`move_back`; a process has files of the datadir open',
    when: moveBack(found => found.datadir === 'served' && found.hasTargetDir),
    ...HANDS_OFF,
    end: 'server_running',
  },
  {
    found: '`move_back`; somebody replaced the datadir or removed the target dir',
    when: moveBack(
      found => found.datadir === 'replaced' || (!found.hasTargetDir && !(isOurs(found) && found.isComplete)),
    ),
    ...HANDS_OFF,
    end: 'datadir_not_empty',
  },
  {
    found: '`move_back` copied to another file system, `--in-place`, and the machine stopped',
    when: found => found.what === 'move_back' && found.begun && found.inPlace && found.isUnsynced,
    ...HANDS_OFF,
    end: 'not_prepared',
  },
]

export const decide = (found: Found): Decision => INTERRUPTED.find(row => row.when(found))!

/** What the state records when the machine was rebooted: its page cache is gone. */
export interface FoundAfterReboot {
  runs: readonly RunRecord[]
  inPlace: boolean
  /** Move-back copies to another file system, or it is not known whether it does. */
  copies: boolean
}

export interface RebootDecision {
  found: string
  stands: string
  /** Runs that count as interrupted from now on. */
  interrupted: 'none' | '`move_back` and `relay_logs`' | 'all'
  /** Everything in the cleanup ledger. */
  removed: 'nothing' | 'what was created'
}

const synced = ({ runs, copies }: FoundAfterReboot) =>
  isFinished({ runs }, { kind: 'sync' }) && !(copies && hasBegun({ runs }, { kind: 'move_back' }))
const finallySynced = ({ runs }: FoundAfterReboot) => isFinished({ runs }, { kind: 'final_sync' })
/** A server has changed the files since they were synced. */
const applied = (found: FoundAfterReboot) =>
  !finallySynced(found) && isFinished(found, { kind: 'sync' }) && hasBegun(found, { kind: 'apply' })
const unsynced = (found: FoundAfterReboot) => !finallySynced(found) && !applied(found) && !synced(found)

/** Exactly one row applies. Renamed files are as durable as before; files that were copied need the final sync. */
export const REBOOTED: readonly (RebootDecision & { when: (found: FoundAfterReboot) => boolean })[] = [
  {
    found: '`final_sync` finished',
    when: finallySynced,
    stands: 'everything',
    interrupted: 'none',
    removed: 'nothing',
  },
  {
    found: '`apply` had begun, and no `final_sync`',
    when: applied,
    stands: 'nothing is touched: the restore ends in `binlog_apply_failed`',
    interrupted: 'none',
    removed: 'nothing',
  },
  {
    found: '`sync` finished, and move-back renames or has not begun',
    when: found => !finallySynced(found) && !applied(found) && synced(found),
    stands: 'everything that was prepared; move-back is looked at once more, relay logs are copied again',
    interrupted: '`move_back` and `relay_logs`',
    removed: 'nothing',
  },
  {
    found: 'no `sync`, or move-back had begun to copy to another file system',
    when: found => unsynced(found) && !found.inPlace && found.runs.length > 0,
    stands: 'nothing: it is restored again',
    interrupted: 'all',
    removed: 'what was created',
  },
  {
    found: 'the same, `--in-place`',
    when: found => unsynced(found) && found.inPlace && found.runs.length > 0,
    stands: 'what the table above says',
    interrupted: 'all',
    removed: 'nothing',
  },
  {
    found: 'no run',
    when: found => unsynced(found) && found.runs.length === 0,
    stands: 'nothing had begun',
    interrupted: 'none',
    removed: 'nothing',
  },
]

/** Done after the sync: what they wrote may not have reached the disk. */
const UNSYNCED = ['move_back', 'relay_logs'] as const

/** The runs and the cleanup ledger with which an agent continues that adopts no tool. */
export function standsWithoutTools(
  state: RestoreState,
  bootIdNow: string,
): { runs: RunRecord[]; cleanup: CleanupLedger } {
  const { runs, cleanup, plan } = state
  if (state.bootId === bootIdNow) return { runs: [...runs], cleanup }
  const found = { runs, inPlace: plan?.inPlace === true, copies: plan?.moveBack?.copyBytes !== 0 }
  const { interrupted, removed } = REBOOTED.find(row => row.when(found))!
  const isHit = (run: RunRecord) =>
    interrupted === 'all' || (interrupted !== 'none' && UNSYNCED.some(kind => isRun(run, { kind })))
  return {
    runs: runs.map(run => (isHit(run) ? { ...run, finished: false } : run)),
    cleanup: { ...cleanup, removing: cleanup.removing || removed === 'what was created' },
  }
}

/**
 * Whether the bytes of an element are needed from its source, for the first time or again: it is not fetched, or a
 * prepare that was interrupted has changed it. Of a MariaDB chain it may turn out to be fewer elements.
 */
export function needsBytes(state: RestoreState, position: number): boolean {
  if (!isFinished(state, { element: position, kind: 'fetch' })) return true
  const cut = state.runs.filter(({ kind, finished }) => kind === 'prepare' && !finished)
  return state.tools.length === 0 && cut.some(({ element }) => element >= position)
}
