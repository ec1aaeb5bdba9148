import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { opendir, rm } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { z } from 'zod'
import { RestoreError } from '../../errors.ts'
import { formatFirst } from '../../format.ts'
import { missingParents, moveFile, onSameFileSystem } from '../../process/file-system.ts'
import { processIn } from '../../process/process-in.ts'
import { changeCleanup, dispatch, noticeOnce, type RestoreContext, untilDurable } from '../context.ts'
import type { CleanupLedger, PartialDatadir } from '../state/state.ts'
import { readOwnFile, syncDirectory } from '../state/state-dir.ts'

/**
 * A failed restore removes only what it created, identified by name and identity. Before move-back, `moved.json` in the
 * run dir lists every file that will be moved, with its inode number and birth time. A file in the datadir belongs to
 * this restore if it is in the list and either is that very file (renamed) or was copied from another file system. Days
 * may lie between a killed agent and the next one: anything else in the datadir belongs to somebody else and stays.
 */
const movedSchema = z.object({
  /**
   * `path`: where move-back brings the file, absolute; outside the datadir for a table with DATA DIRECTORY. `name`: its
   * path in the target dir; absent for what a server created.
   */
  files: z.array(z.object({ path: z.string(), name: z.string().optional(), identity: z.string(), bytes: z.number() })),
  /** Directories that move-back creates for them. */
  folders: z.array(z.string()),
})
export type MovedFiles = z.output<typeof movedSchema>

const listOf = (runDir: string) => join(runDir, 'moved.json')

/**
 * The files of the target dir and where they will go; `outside` maps the names of those that go elsewhere than into the
 * datadir.
 */
export async function filesToMove(
  targetDir: string,
  datadir: string,
  outside: ReadonlyMap<string, string> = new Map(),
): Promise<MovedFiles> {
  const files: MovedFiles['files'] = []
  const folders = new Set(missingParents([...outside.values()]))
  for await (const from of entriesUnder(targetDir)) {
    const name = relative(targetDir, from)
    files.push({ path: outside.get(name) ?? join(datadir, name), name, ...identityOfFile(from)! })
    for (let folder = dirname(name); folder !== '.'; folder = dirname(folder)) folders.add(join(datadir, folder))
  }
  return { files, folders: [...folders] }
}

/** Durable before it returns. */
export function recordMovedFiles(runDir: string, moved: MovedFiles): void {
  const temporary = `${listOf(runDir)}.tmp`
  rmSync(temporary, { force: true })
  const file = openSync(temporary, 'wx', 0o600)
  try {
    writeFileSync(file, JSON.stringify(moved))
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, listOf(runDir))
  syncDirectory(runDir)
}

/** Adds files that a server of this restore created in the datadir. */
export function addMovedFiles(runDir: string, paths: readonly string[]): void {
  const { files, folders } = movedFiles(runDir)
  const added = paths.flatMap(path => {
    const identity = identityOfFile(path)
    return identity ? [{ path, ...identity }] : []
  })
  recordMovedFiles(runDir, { files: [...files, ...added], folders })
}

/** Files that hold data. Metadata and logs of the tool may stay behind. */
export const DATA_FILE = /\.(ibd|isl|frm|par|MYD|MYI|MAD|MAI|CSV|ARZ|MRG|sdi)$|^undo_?\d{3}$/

/** Whether move-back has moved every file with data. False without a list. */
export function isAllMoved(runDir: string): boolean {
  const paths = movedFiles(runDir).files.map(({ path }) => path)
  return paths.length > 0 && paths.every(path => !DATA_FILE.test(basename(path)) || existsSync(path))
}

/** Empty before move-back. Throws `state_unreadable`. */
export function movedFiles(runDir: string): MovedFiles {
  const path = listOf(runDir)
  if (!existsSync(path)) return { files: [], folders: [] }
  const { success, data } = movedSchema.safeParse(parsed(readOwnFile(path)))
  if (!success) throw new RestoreError('state_unreadable', `${path} is damaged`)
  return data
}

function parsed(content: string): unknown {
  try {
    return JSON.parse(content)
  } catch {
    return null
  }
}

const identityOfFile = (path: string): { identity: string; bytes: number } | null => {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return stat ? { identity: `${stat.ino}:${stat.birthtimeNs}`, bytes: Number(stat.size) } : null
}

/** Every entry that is not a directory; links are not followed. */
async function* entriesUnder(directory: string): AsyncGenerator<string> {
  for await (const entry of await opendir(directory)) {
    const path = join(directory, entry.name)
    if (entry.name === 'lost+found') continue // belongs to the file system
    if (entry.isDirectory()) yield* entriesUnder(path)
    else yield path
  }
}

/**
 * Tells a directory from one made later under the same name, which may get the same inode number; null where there is
 * none.
 */
export function identityOf(directory: string): string | null {
  const stat = statSync(directory, { bigint: true, throwIfNoEntry: false })
  return stat?.isDirectory() ? `${stat.ino}:${stat.birthtimeNs}` : null
}

export const isStillOurs = ({ datadir, identity }: PartialDatadir): boolean =>
  identity !== null && identity === identityOf(datadir)

/**
 * Removes what the ledger lists; interrupted, it can run again. Returns what it left in the datadir because somebody
 * else put it there.
 */
export async function removeCreated(
  { created, partialDatadir, returnFilesTo, parents }: CleanupLedger,
  moved: MovedFiles,
  targetDir: string | null,
): Promise<string[]> {
  const left: string[] = []
  if (partialDatadir && isStillOurs(partialDatadir)) {
    const { datadir, existed } = partialDatadir
    removeMoved(moved, targetDir, (path, name) => {
      const home = returnFilesTo === null || name === undefined ? null : join(returnFilesTo, name)
      // The original is still there: the tool was killed between copying and removing it, so the original is complete.
      if (home !== null && !existsSync(home)) moveFile(path, home)
      else rmSync(path, { force: true })
    })
    for await (const path of entriesUnder(datadir)) left.push(relative(datadir, path))
    if (!existed) removeIfEmpty(datadir)
  }
  for (const directory of created) await rm(directory, { recursive: true, force: true })
  for (const parent of parents) removeIfEmpty(parent)
  return left
}

function removeMoved(
  { files, folders }: MovedFiles,
  targetDir: string | null,
  remove: (path: string, name: string | undefined) => void,
): void {
  for (const file of files) {
    rmSync(`${file.path}.copying`, { force: true })
    if (isMovedFile(file, targetDir)) remove(file.path, file.name)
  }
  for (const folder of folders.toSorted((a, b) => b.length - a.length)) removeIfEmpty(folder)
}

/** Whether a file of the list lies where it goes: that very file, or its copy on another file system. */
function isMovedFile({ path, identity, bytes }: MovedFiles['files'][number], targetDir: string | null): boolean {
  const found = identityOfFile(path)
  if (found === null) return false
  const isCopied = () => targetDir !== null && !onSameFileSystem(targetDir, dirname(path))
  return found.identity === identity || (found.bytes <= bytes && isCopied())
}

/**
 * Prepares an interrupted move-back for continuation. A file in both places was being copied: the original is complete.
 * The tool moves InnoDB's own files at the top of the directory without checking that they are there, so those go back.
 */
export function undoPartialMove(datadir: string, targetDir: string, { files }: MovedFiles): void {
  const homeOf = (name: string) => join(targetDir, name)
  for (const { path, name, bytes } of files) {
    const found = identityOfFile(path)
    if (name === undefined || found === null) continue
    // Outside the datadir nothing was there before; what is larger than ours, somebody else has put there since.
    if (existsSync(homeOf(name))) {
      if (path === join(datadir, name) || found.bytes <= bytes) rmSync(path)
    } else if (!name.includes('/')) moveFile(path, homeOf(name))
  }
  for (const { path, name } of files)
    if (name?.endsWith('.isl') && existsSync(homeOf(name.replace(/isl$/, 'ibd'))) && existsSync(join(datadir, name)))
      moveFile(path, homeOf(name))
}

/** Somebody else may have put something into it meanwhile; then it stays. */
export function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory)
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

/**
 * Removes everything in the ledger. Its beginning is recorded first, so that no later agent takes half of the files for
 * all.
 */
export async function removeAll(context: RestoreContext): Promise<void> {
  const { store, runDir } = context
  const { cleanup, plan } = store.state
  if (cleanup.created.length + cleanup.parents.length === 0 && cleanup.partialDatadir === null) return
  dispatch(context, { type: 'removal_begun' })
  await untilDurable(context, { isRemoval: true })
  const left = await removeCreated(cleanup, movedFiles(runDir), plan?.targetDir ?? null)
  if (left.length > 0)
    noticeOnce(
      context,
      `left in ${cleanup.partialDatadir!.datadir}, as this restore did not create it: ${formatFirst(left)}`,
    )
  dispatch(context, { type: 'removal_ended' })
}

/** Finishes a removal that an earlier agent had begun, or that a reboot made necessary. */
export async function finishRemoval(context: RestoreContext): Promise<void> {
  const { partialDatadir } = context.store.state.cleanup
  // The datadir stays if somebody has started a server in it since.
  if (partialDatadir && processIn(partialDatadir.datadir) !== null) changeCleanup(context, { partialDatadir: null })
  await removeAll(context)
}
