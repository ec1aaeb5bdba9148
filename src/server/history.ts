import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type HistoryEntry, historyEntrySchema, type RestoreBody, restoreSchema } from './api-schema.ts'
import { historyEntry } from './restore-body.ts'

/**
 * Ended restores, newest first, with the full status of the last one, so that an agent that was replaced still shows
 * how it ended. It is one small file, written to a new name and renamed, so a reader sees the old or the new one.
 *
 * A restore that is dropped from it loses its run dir. It stays in the file until the run dir is gone, so that a killed
 * agent leaves none behind.
 */
export interface History {
  readonly entries: readonly HistoryEntry[]
  readonly last: RestoreBody | null
  /** Adds an ended restore, once. Never throws: write errors are logged, and the entry stays in memory. */
  add(restore: RestoreBody): void
  /** Sets how many are kept. */
  keep(count: number): void
  /** Resolves when the run dirs of dropped restores are removed. */
  settled(): Promise<void>
}

/** The form of session.ts's ids: nothing else in the state dir is removed because a file says so. */
const RESTORE_ID = /^\d{14}-[0-9a-f]{6}$/

const fileSchema = z.object({
  schema: z.literal(1),
  restores: z.array(historyEntrySchema),
  last: restoreSchema.nullable(),
})

/** A damaged file is renamed, not overwritten, and the daemon starts with an empty history. */
export function openHistory(
  stateDir: string,
  most: number,
  warn: (text: string) => void,
  /** The last restore of the earlier state dir: a change of the state dir must not forget it. */
  before: RestoreBody | null = null,
): History {
  const path = join(stateDir, 'restores.json')
  const found = read(path, warn)
  let restores = found.restores
  let leaving: HistoryEntry[] = []
  let removing = Promise.resolve()
  let last = newer(found.last, before)
  let count = most

  const write = () => {
    try {
      writeWhole(path, JSON.stringify({ schema: 1, restores: [...restores, ...leaving], last }))
    } catch (error) {
      warn(`cannot write ${path}: ${(error as Error).message}`)
    }
  }

  function cut(): void {
    if (restores.length <= count) return
    leaving = [...leaving, ...restores.slice(count)]
    restores = restores.slice(0, count)
    removing = removing.then(remove)
  }

  async function remove(): Promise<void> {
    const gone = leaving
    for (const { restore_id } of gone) {
      if (!RESTORE_ID.test(restore_id)) continue
      const runDir = join(stateDir, restore_id)
      await rm(runDir, { recursive: true, force: true }).catch(error =>
        warn(`cannot remove ${runDir}: ${(error as Error).message}`),
      )
    }
    leaving = leaving.filter(entry => !gone.includes(entry))
    if (gone.length > 0) write()
  }

  cut()
  if (last !== found.last) write()
  return {
    get entries() {
      return restores
    },
    get last() {
      return last
    },
    add(restore) {
      const others = restores.filter(({ restore_id }) => restore_id !== restore.restore_id)
      restores = [historyEntry(restore), ...others]
      last = restore
      cut()
      write()
    },
    keep(now) {
      count = now
      cut()
    },
    settled: () => removing,
  }
}

const newer = (a: RestoreBody | null, b: RestoreBody | null): RestoreBody | null =>
  a === null || (b !== null && Date.parse(b.updated_at) > Date.parse(a.updated_at)) ? b : a

function read(path: string, warn: (text: string) => void): { restores: HistoryEntry[]; last: RestoreBody | null } {
  const nothing = { restores: [], last: null }
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') warn(`cannot read ${path}: ${(error as Error).message}`)
    return nothing
  }
  try {
    return fileSchema.parse(JSON.parse(text))
  } catch {
    warn(`${path} is damaged, or of another version: it is kept as ${path}.unreadable`)
    try {
      renameSync(path, `${path}.unreadable`)
    } catch (error) {
      warn(`cannot rename ${path}: ${(error as Error).message}`)
    }
    return nothing
  }
}

function writeWhole(path: string, text: string): void {
  const temporary = `${path}.tmp`
  const file = openSync(temporary, 'w', 0o600)
  try {
    writeFileSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
}
