import { RestoreError } from '../../errors.ts'
import type { RestoreContext } from '../context.ts'

const TICK_MS = 1000

/** Dispatches a tick a second, by which stalls are detected. With `--stall-action fail` a stall ends the restore. */
export function watch({ store, now, options, abort }: RestoreContext): () => void {
  const timer = setInterval(() => {
    store.dispatch({ type: 'tick', atMs: now() })
    const { progress, phase, step } = store.state
    if (!progress.stalled || options.stallAction !== 'fail') return
    const seconds = Math.round((now() - progress.lastProgressAtMs) / 1000)
    abort(new RestoreError('stalled', `no progress for ${seconds} s in ${step ?? phase}, ${progress.activity}`))
  }, TICK_MS)
  return () => clearInterval(timer)
}
