import { readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { execa } from 'execa'
import { RestoreError } from '../../errors.ts'
import { toolEnv } from '../../process/tool-env.ts'
import { saysDiskFull } from '../../tool/failure-wording.ts'
import { dispatch, type RestoreContext } from '../context.ts'
import { isFinished, type RunId } from '../state/runs.ts'
import { tablespacesIn } from './table-files.ts'

/**
 * Writes restored files to the disk. What the tools wrote and renamed is mostly in memory when they end, and a power
 * cut would lose it. `sync -f` writes each file system that holds a part of the directory and returns when all is
 * written: no file is forgotten, and it is faster than an fsync of each.
 *
 * It prints nothing while it works and waits in the kernel, where no signal reaches it. `onProgress` is called when
 * the machine's unwritten pages become fewer. An abort does not wait for sync.
 */
export async function syncFiles(directory: string, signal: AbortSignal, onProgress: () => void): Promise<void> {
  const directories = await directoryOfEachFileSystem(directory)
  const stopWatching = watchUnwritten(onProgress)
  try {
    for (const one of directories) await syncFileSystem(one, signal)
  } finally {
    stopWatching()
  }
}

/** Syncs as a recorded run: after a reboot, only what is recorded as synced is believed. */
export async function syncRun(context: RestoreContext, run: RunId, directory: string): Promise<void> {
  const { store, signal } = context
  if (isFinished(store.state, run)) return
  const onProgress = () => {
    const { step } = store.state
    if (step !== null) dispatch(context, { type: 'progress', input: { type: 'step', step } })
  }
  dispatch(context, { type: 'run_begun', run })
  await syncFiles(directory, signal, onProgress)
  dispatch(context, { type: 'run_finished', run })
}

/** One directory of each file system: the given one, and those that hold tables with DATA DIRECTORY. */
async function directoryOfEachFileSystem(directory: string): Promise<string[]> {
  const byDevice = new Map<number, string>([[statSync(directory).dev, directory]])
  for await (const { name, path } of tablespacesIn(directory)) {
    if (!name.endsWith('.isl')) continue
    const device = statSync(dirname(path), { throwIfNoEntry: false })?.dev
    if (device !== undefined && !byDevice.has(device)) byDevice.set(device, dirname(path))
  }
  return [...byDevice.values()]
}

async function syncFileSystem(directory: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const child = execa('sync', ['-f', directory], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: toolEnv(),
    extendEnv: false,
    reject: false,
    cleanup: false,
  })
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    const { exitCode, cause, stderr } = await Promise.race([child, aborted])
    if (exitCode !== 0) throw syncError(directory, stderr, cause)
  } finally {
    signal.removeEventListener('abort', abort)
    child.kill('SIGKILL')
  }
}

function syncError(directory: string, stderr: string, cause: unknown): RestoreError {
  const isFull = saysDiskFull(stderr)
  const why = cause instanceof Error ? `: ${cause.message}` : ''
  return new RestoreError(isFull ? 'disk_full' : 'move_back_failed', `cannot sync ${directory} to the disk${why}`, {
    lastWords: stderr.split('\n').filter(Boolean),
    ...(!isFull && { hint: 'the disk failed (see the kernel log), not the backup: do not start a server on it' }),
  })
}

const LOOK_EVERY_MS = 1000

/** Calls `onFewer` when fewer bytes than ever before wait to be written. */
export function watchUnwritten(onFewer: () => void, unwritten = unwrittenKib): () => void {
  let least = unwritten()
  const timer = setInterval(() => {
    const kib = unwritten()
    if (kib >= least) return
    least = kib
    onFewer()
  }, LOOK_EVERY_MS)
  return () => clearInterval(timer)
}

/** Of the whole machine. */
function unwrittenKib(): number {
  const meminfo = readFileSync('/proc/meminfo', 'latin1')
  return ['Dirty', 'Writeback']
    .map(key => Number(new RegExp(`^${key}: +(\\d+) kB`, 'm').exec(meminfo)?.[1] ?? 0))
    .reduce((sum, kib) => sum + kib)
}
