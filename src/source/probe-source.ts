import { formatBytes } from '../format.ts'
import { openSource } from './open-source.ts'
import type { SourceRef } from './source-ref.ts'
import type { StoreSettings } from './store-settings.ts'
import { openDispatcher } from './transfer/access.ts'
import { readObject } from './transfer/read-object.ts'
import { MOST_WINDOWS } from './transfer/window-plan.ts'

const READ_MS = 3000

/**
 * Opens a source and says what it is; of a remote one the speed, measured for at most 3 s with the windows of a
 * transfer. Throws what `openSource` and a transfer throw.
 */
export async function probeSource(ref: SourceRef, settings: StoreSettings): Promise<string> {
  const began = performance.now()
  const source = await openSource(ref, settings)
  const openedMs = Math.round(performance.now() - began)
  try {
    if (source.kind === 'directory') return `${source.name}, a directory of ${formatBytes(await source.storedBytes())}`
    const size = source.storedBytes === null ? 'of unknown size' : formatBytes(source.storedBytes)
    if (source.remote === undefined) return `${source.name}, ${size}`
    const { access, pin, ranged } = source.remote
    const dispatcher = await openDispatcher(MOST_WINDOWS + 1)
    try {
      const range = { start: 0, end: Number.POSITIVE_INFINITY }
      const beganReading = performance.now()
      let bytes = 0
      for await (const piece of readObject(
        source.name,
        access,
        { range, pin, ranged, patienceMs: 10_000 },
        dispatcher,
      )) {
        bytes += piece.length
        if (performance.now() - beganReading > READ_MS) break
      }
      const speed = bytes / Math.max(1, performance.now() - beganReading)
      const ranges = ranged ? '' : '; the server answers no ranges, so there is one connection and no resume'
      return `${source.name}, ${size}, answers in ${openedMs} ms, ${formatBytes(speed * 1000)}/s${ranges}`
    } finally {
      await dispatcher.destroy()
    }
  } finally {
    await source.close()
  }
}
