import { closeSync, constants, existsSync, fchownSync, openSync, realpathSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { formatFirst } from '../../format.ts'
import { liesIn } from '../../process/file-system.ts'
import { giveFile, giveTree } from '../../process/give-tree.ts'
import { processIn } from '../../process/process-in.ts'
import { dispatch, noticeOnce, type RestoreContext } from '../context.ts'
import { directoryStats } from '../plan/describe-backup.ts'
import type { Plan } from '../plan/plan.ts'
import { movedFiles } from '../resume/cleanup.ts'
import { toolsOf } from '../state/runs.ts'
import { isPartial, metadataDir, moveRemnants } from './kept-files.ts'
import { checkAllMoved, settle } from './move-back.ts'
import { startCheck } from './start-check.ts'
import { syncRun } from './sync.ts'
import { findMissing, findShort, type Layout, layoutOf, outsideFiles, type ShortTablespace } from './table-files.ts'

/**
 * The last checks and changes of the datadir. All of them can run again, but not while a server works there: if an
 * earlier agent started it for its check, they are done; anybody else's server is left alone. Success is reported after
 * the datadir is on the disk.
 */
export async function finalize(context: RestoreContext): Promise<void> {
  const { store, runDir, signal } = context
  const plan = store.state.plan!
  const { datadir, elements, steps } = plan
  const backupConfig = join(metadataDir(runDir, elements.length), 'backup-my.cnf')
  const layout = layoutOf(backupConfig)
  const moved = tellMoved(context)
  const hasServer = toolsOf(store.state, { kind: 'start_check' }).length > 0
  if (hasServer) await checkAllMoved(context, plan, layout)
  else await takeRestored(context) // a running server's socket directory is in the ledger
  for (const step of steps) {
    if (step.kind !== 'verify' && step.kind !== 'ownership' && step.kind !== 'start_check') continue
    if (hasServer && step.kind !== 'start_check') continue
    dispatch(context, { type: 'step_started', step: step.kind })
    if (step.kind === 'verify') {
      const notices = await verifyDatadir(datadir, layout, {
        slackBytes: SLACK_BYTES[plan.tool.family],
        partial: isPartial(runDir, elements.length),
        serverFollows: steps.some(({ kind }) => kind === 'start_check'),
        onChecked: moved,
      })
      for (const text of notices) noticeOnce(context, text)
      const remnants = moveRemnants(datadir, runDir)
      if (remnants.length > 0)
        noticeOnce(context, `moved out of the datadir, to ${join(runDir, 'remnants')}: ${formatFirst(remnants, 8)}`)
    }
    if (step.kind === 'ownership') await giveToOwner(context, moved)
    if (step.kind === 'start_check') await startCheck(context, step, backupConfig)
    signal.throwIfAborted()
  }
  await syncRun(context, { element: elements.length, kind: 'final_sync' }, datadir)
}

/** Everything is in the datadir, nobody works there, and nothing of it goes back any more. */
export async function takeRestored(context: RestoreContext): Promise<void> {
  const { store, runDir } = context
  const plan = store.state.plan!
  await checkAllMoved(context, plan, layoutOf(join(metadataDir(runDir, plan.elements.length), 'backup-my.cnf')))
  refuseServer(plan.datadir)
  await settle(context, plan)
}

/** Gives the datadir, and what lies outside of it, to its owner. */
export const giveToOwner = ({ store, runDir }: RestoreContext, onGiven?: () => void): Promise<void> =>
  setOwner(store.state.plan!.datadir, store.state.plan!.owner!, {
    createdParents: [...store.state.cleanup.parents, ...outsideFolders(runDir, store.state.plan!.datadir)],
    ...(onGiven && { onGiven }),
  })

/** Directories outside the datadir that move-back created for tables with DATA DIRECTORY. */
const outsideFolders = (runDir: string, datadir: string): string[] =>
  movedFiles(runDir).folders.filter(folder => relative(datadir, folder).startsWith('..'))

/** Hours may lie between move-back and the agent that continues; somebody may have started a server meanwhile. */
function refuseServer(datadir: string): void {
  const user = processIn(datadir, { readers: false })
  if (user === null) return
  throw new RestoreError('server_running', `process ${user.pid} (${user.name}) works in ${datadir} already`, {
    hint: 'the files are all there, but were not checked; nothing was changed under the server',
  })
}

/** Reports progress of a step without a tool, at most twice a second. */
function tellMoved({ store, now }: RestoreContext): () => void {
  let toldAtMs = 0
  return () => {
    const { step } = store.state
    if (step === null || now() - toldAtMs < 500) return
    toldAtMs = now()
    store.dispatch({ type: 'progress', atMs: toldAtMs, input: { type: 'step', step } })
  }
}

/**
 * How much shorter a tablespace may be than its header says. MariaDB's recovery makes each file as long as its header
 * says. InnoDB leaves a file in a hot backup as long as the pages that the redo touches, so a file of xtrabackup may
 * lack what a growing table allocates ahead: a few MiB at a time.
 */
export const SLACK_BYTES = { 'mariadb-backup': 0, xtrabackup: 64 * 1024 * 1024 } as const

export interface VerifyOptions {
  slackBytes?: number
  /** The backup holds only some of the server's tables: a missing file is a notice. */
  partial?: boolean
  /** The start check will tell which InnoDB tables lie in the system tablespace. */
  serverFollows?: boolean
  /** Called after every few files. */
  onChecked?: () => void
}

/**
 * Checks the files of a restored datadir: the system tablespace exists, nothing is still compressed or half applied,
 * each table has its files, and no tablespace is shorter than its header says. Throws `verify_failed`; returns notices.
 */
export async function verifyDatadir(datadir: string, layout: Layout, options: VerifyOptions = {}): Promise<string[]> {
  const { slackBytes = 0, partial = false, serverFollows = false, onChecked = () => {} } = options
  const [systemFile] = layout.systemFiles
  if (!existsSync(join(datadir, systemFile!)))
    throw new RestoreError('verify_failed', `${datadir} holds no ${systemFile} after move-back`)
  const { leftovers } = await directoryStats(datadir)
  if (leftovers.length > 0)
    throw new RestoreError(
      'verify_failed',
      `${leftovers.length} files in ${datadir} are still packed or not applied: ${formatFirst(leftovers)}`,
    )
  const { lost, unsure } = await findMissing(datadir)
  if (lost.length > 0 && !partial)
    throw new RestoreError('verify_failed', `${lost.length} files of tables are missing: ${formatFirst(lost)}`, {
      hint: 'the source is not complete: fetch it again, or use another backup',
    })
  const short = await findShort(datadir, layout, onChecked)
  const cut = short.filter(({ bytes, expectedBytes }) => bytes < expectedBytes - slackBytes)
  if (cut.length > 0)
    throw new RestoreError('verify_failed', `${datadir}: ${formatFirst(cut.map(describe))}`, {
      hint: 'the source is not complete: fetch it again, or use another backup; do not start a server on these files',
    })
  return [
    ...(lost.length > 0
      ? [`files of tables are missing, and the backup holds some tables only: ${formatFirst(lost)}`]
      : []),
    ...(unsure.length > 0 && !partial && !serverFollows
      ? [
          `${unsure.length} InnoDB tables have no file of their own: ${formatFirst(unsure)}; that is right if they lie in ` +
            'the system tablespace (innodb_file_per_table=OFF), and data loss otherwise: --start-check tells',
        ]
      : []),
    ...(short.length > 0
      ? [
          `${short.length} files are a little shorter than their headers say: ${formatFirst(short.map(describe))}; ` +
            'CHECK TABLE tells if data are lost',
        ]
      : []),
  ]
}

const describe = ({ name, bytes, expectedBytes }: ShortTablespace): string =>
  `${name} has ${bytes} of ${expectedBytes} bytes`

/**
 * Gives the datadir, with links to it resolved, and all in it to the owner, and the files of DATA DIRECTORY tables
 * outside it. Of outside directories only those change owner that this restore created (`createdParents`).
 */
export async function setOwner(
  datadir: string,
  owner: NonNullable<Plan['owner']>,
  { createdParents = [] as readonly string[], onGiven = () => {} } = {},
): Promise<void> {
  try {
    const outside = await outsideFiles(datadir)
    for (const { name, path } of outside) {
      if (basename(path) !== basename(name))
        throw new Error(`the .isl file of ${name} names ${path}, which is no file of this table`)
      giveFile(path, owner)
    }
    const directories = new Set(outside.map(({ path }) => dirname(path)))
    for (const parent of createdParents)
      if ([...directories].some(directory => liesIn(directory, parent)) && !liesIn(datadir, parent))
        giveDirectory(parent, owner)
    giveTree(realpathSync(datadir), owner, onGiven)
  } catch (cause) {
    throw new RestoreError('ownership_failed', `cannot give ${datadir} to ${owner.name}: ${(cause as Error).message}`, {
      cause,
    })
  }
}

/** The directory alone, not what is in it. */
function giveDirectory(path: string, { uid, gid }: NonNullable<Plan['owner']>): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    fchownSync(fd, uid, gid)
  } finally {
    closeSync(fd)
  }
}
