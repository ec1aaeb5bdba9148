import { open } from 'node:fs/promises'
import type { Dispatcher } from 'undici'
import { RestoreError } from '../../errors.ts'
import { unreadable } from '../unreadable.ts'
import { openAccess } from './access.ts'
import type { Access } from './job.ts'
import { newStats, type TransferStats } from './stats.ts'
import { type TransferOptions, transfer } from './transfer.ts'

/**
 * The bytes of a range of an object in order, from whatever kind of place. Throws what `transfer` throws; of a file
 * `source_missing`, `source_unreadable`, and `source_changed` where its size is not the pinned one.
 */
export async function* readObject(
  name: string,
  access: Access,
  options: TransferOptions,
  dispatcher: Dispatcher,
  stats: TransferStats = newStats(),
): AsyncGenerator<Buffer, void, undefined> {
  if (access.kind === 'backup') throw new RestoreError('internal', `${name} is more than one object`)
  if (access.kind === 'file') yield* readFile(access.path, options)
  else yield* transfer(openAccess(name, access, dispatcher), options, stats)
}

/** A range of a local file. */
export async function* readFile(
  path: string,
  { range, pin, signal }: TransferOptions,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    const handle = await open(path)
    const { size } = await handle.stat()
    const end = Math.min(range.end, size)
    if (pin.size !== null && pin.size !== size) {
      await handle.close()
      throw new RestoreError('source_changed', `${path} had ${pin.size} bytes and has ${size}`)
    }
    if (end <= range.start) return await handle.close()
    // The stream closes the handle.
    yield* handle.createReadStream({ start: range.start, end: end - 1, highWaterMark: 1 << 20, signal })
  } catch (thrown) {
    throw unreadable(path, thrown)
  }
}
