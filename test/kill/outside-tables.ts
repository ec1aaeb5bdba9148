import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { execa } from 'execa'
import { inject, onTestFinished } from 'vitest'
import type { Place, Request } from './restore-dirs.ts'

/** What the request leaves in the folder of the restore. */
export const OUTSIDE_KEPT = ['source', 'far']

/** The full backup as a directory. */
export async function extracted(at: Place): Promise<string> {
  const dir = join(at.dir, 'source')
  mkdirSync(dir)
  await execa('mbstream', ['-x', '-C', dir], { inputFile: inject('chain').elements[0]!.bare })
  return dir
}

/**
 * The full backup with three tables outside of the datadir, two of them on another file system. An .isl file is all
 * that a backup has of that.
 */
export async function outsideTables(at: Place): Promise<Request> {
  const source = await extracted(at)
  const other = `/dev/shm/${basename(at.dir)}-far`
  onTestFinished(() => rmSync(other, { recursive: true, force: true }))
  for (const [table, place] of [
    ['t1', join(at.dir, 'far')],
    ['t2', other],
    ['t3', other],
  ] as const)
    writeFileSync(join(source, `sample/${table}.isl`), join(place, `sample/${table}.ibd`))
  return { sources: [source], flags: { allow_outside: true } }
}
