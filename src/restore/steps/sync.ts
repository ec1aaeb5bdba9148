import { readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { execa } from 'execa'
import { RestoreError } from '../../errors.ts'
import { TOOL_LOCALE } from '../../process/tool-env.ts'
import { tablespacesIn } from './tablespaces.ts'

/**
 * Brings the restored files to the disk: what the tools wrote and renamed is mostly in memory when they end, and a power cut
 * would take it. sync(1) with -f asks each file system that holds a part of the datadir, and comes back when all of it is
 * written; no file is forgotten, and it is faster than an fsync of each.
 *
 * It says nothing while it works, and waits in the kernel, where nothing of it is seen and no signal reaches it. That
 * the machine's unwritten pages become fewer is the evidence that it moves (`onMoved`); an abort does not wait for it.
 */
export async function syncFiles(datadir: string, signal: AbortSignal, onMoved: () => void): Promise<void> {
  const places = await placesOf(datadir)
  const stopWatching = watchUnwritten(onMoved)
  try {
    for (const place of places) await syncOne(place, signal)
  } finally {
    stopWatching()
  }
}

/** A directory for each file system: that of the datadir, and those that hold tables with DATA DIRECTORY. */
async function placesOf(datadir: string): Promise<string[]> {
  const byDevice = new Map<number, string>([[statSync(datadir).dev, datadir]])
  for await (const { name, path } of tablespacesIn(datadir)) {
    if (!name.endsWith('.isl')) continue
    const device = statSync(dirname(path), { throwIfNoEntry: false })?.dev
    if (device !== undefined && !byDevice.has(device)) byDevice.set(device, dirname(path))
  }
  return [...byDevice.values()]
}

async function syncOne(place: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const child = execa('sync', ['-f', place], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: TOOL_LOCALE,
    reject: false,
    cleanup: false,
  })
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    const { exitCode, cause, stderr } = await Promise.race([child, aborted])
    if (exitCode !== 0) throw syncError(place, stderr, cause)
  } finally {
    signal.removeEventListener('abort', abort)
    child.kill('SIGKILL')
  }
}

function syncError(place: string, stderr: string, cause: unknown): RestoreError {
  const isFull = /No space left|quota exceeded/i.test(stderr)
  const why = cause instanceof Error ? `: ${cause.message}` : ''
  return new RestoreError(isFull ? 'disk_full' : 'move_back_failed', `cannot sync ${place} to the disk${why}`, {
    lastWords: stderr.split('\n').filter(Boolean),
    ...(!isFull && { hint: 'the disk is at fault (see the kernel log), not the backup: do not start a server on it' }),
  })
}

const LOOK_EVERY_MS = 1000

/** Calls back whenever fewer bytes than ever before wait to be written. */
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

/** All of the machine's. */
function unwrittenKib(): number {
  const meminfo = readFileSync('/proc/meminfo', 'latin1')
  return ['Dirty', 'Writeback']
    .map(key => Number(new RegExp(`^${key}: +(\\d+) kB`, 'm').exec(meminfo)?.[1] ?? 0))
    .reduce((sum, kib) => sum + kib)
}
