import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { type HistoryEntry, historyEntrySchema, type RestoreBody, restoreSchema } from './api-schema.ts'
import { historyEntry } from './restore-body.ts'

/**
 * Restores that ended, the newest first, and of the last one all there is to show, so that an agent that was replaced still
 * tells how it went. One small file, written whole to a new name and renamed: a reader sees the old one or the new one.
 */
export interface History {
  readonly entries: readonly HistoryEntry[]
  readonly last: RestoreBody | null
  /** Remembers a restore that ended, once. Never throws: what cannot be written is told, and kept in memory. */
  add(restore: RestoreBody): void
  /** How many are kept from now on. */
  keep(count: number): void
}

const fileSchema = z.object({
  schema: z.literal(1),
  restores: z.array(historyEntrySchema),
  last: restoreSchema.nullable(),
})

/** A file that cannot be understood is put aside, not overwritten: history is worth less than a start. */
export function openHistory(stateDir: string, most: number, warn: (text: string) => void): History {
  const path = join(stateDir, 'restores.json')
  let { restores, last } = read(path, warn)
  let count = most

  const write = () => {
    try {
      writeWhole(path, JSON.stringify({ schema: 1, restores, last }))
    } catch (error) {
      warn(`cannot write ${path}: ${(error as Error).message}`)
    }
  }

  return {
    get entries() {
      return restores
    },
    get last() {
      return last
    },
    add(restore) {
      const others = restores.filter(({ restore_id }) => restore_id !== restore.restore_id)
      restores = [historyEntry(restore), ...others].slice(0, count)
      last = restore
      write()
    },
    keep(now) {
      count = now
      if (restores.length <= count) return
      restores = restores.slice(0, count)
      write()
    },
  }
}

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
