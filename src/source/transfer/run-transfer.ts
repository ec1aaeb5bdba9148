import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Dispatcher } from 'undici'
import { RestoreError } from '../../errors.ts'
import { readStoredBackup } from '../stored-backup.ts'
import { openDispatcher } from './access.ts'
import { checked } from './hash-thread.ts'
import { jobSchema, type TransferJob } from './job.ts'
import { writeProgress } from './progress-file.ts'
import { readObject } from './read-object.ts'
import { lookAt, newStats, type TransferStats, waitFor } from './stats.ts'
import { MOST_WINDOWS } from './window-plan.ts'

const PROGRESS_MS = 250
const BROKEN_PIPE = new Set(['EPIPE', 'ECONNRESET', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_PREMATURE_CLOSE'])

/**
 * The transfer process: an object's bytes to `output`, in order. It needs no agent, so it outlives one like any tool.
 * Throws what `transfer` throws. False when whoever reads `output` ended first.
 */
export async function runTransfer(input: Readable, output: Writable): Promise<boolean> {
  const job = jobSchema.parse(JSON.parse(await textOf(input)))
  const dispatcher = await openDispatcher(MOST_WINDOWS + 1)
  const stats = newStats()
  let outputError: NodeJS.ErrnoException | null = null
  output.on('error', (error: NodeJS.ErrnoException) => {
    outputError = error
  })
  const progress = setInterval(() => {
    lookAt(stats)
    writeProgress(job.progressPath, stats)
  }, PROGRESS_MS)
  const slowDown = limitTo(job.maxBandwidth)
  try {
    const bytes = bytesOf(job, dispatcher, stats)
    for await (const piece of checked(bytes, job.name, job.checksum, stats)) {
      waitFor(stats, 'limit')
      await slowDown(piece.length)
      waitFor(stats, 'tool')
      if (!output.write(piece)) await drained(output)
      if (outputError !== null) throw outputError
      stats.writtenBytes += piece.length
      waitFor(stats, 'network')
    }
    output.end()
    if (!output.writableFinished) await once(output, 'finish')
    return true
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (error instanceof RestoreError || !BROKEN_PIPE.has(code)) throw error
    return false
  } finally {
    clearInterval(progress)
    writeProgress(job.progressPath, stats)
  }
}

const bytesOf = (job: TransferJob, dispatcher: Dispatcher, stats: TransferStats): AsyncIterable<Buffer> =>
  job.access.kind === 'backup'
    ? readStoredBackup(job.access, stats)
    : readObject(job.name, job.access, optionsOf(job), dispatcher, stats)

/** A race of two `once` of node:events would leave the listener that lost: a transfer waits millions of times. */
function drained(output: Writable): Promise<void> {
  return new Promise(resolve => {
    if (output.destroyed || !output.writableNeedDrain) return resolve()
    const done = () => {
      output.off('drain', done).off('close', done)
      resolve()
    }
    output.on('drain', done).on('close', done)
  })
}

async function textOf(input: Readable): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of input) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

const optionsOf = ({ pin, ranged, idleMs, patienceMs }: TransferJob) => ({
  range: { start: 0, end: pin.size ?? Number.POSITIVE_INFINITY },
  pin,
  ranged,
  idleMs: idleMs ?? undefined,
  patienceMs: patienceMs ?? undefined,
})

/** Waits before each piece for as long as its bytes take at the limit; what was not used is not saved up. */
function limitTo(bytesPerSecond: number | null): (bytes: number) => Promise<void> {
  if (bytesPerSecond === null) return async () => {}
  let freeAt = performance.now()
  return async bytes => {
    const now = performance.now()
    freeAt = Math.max(freeAt, now - 100) + (bytes * 1000) / bytesPerSecond
    if (freeAt > now) await sleep(freeAt - now)
  }
}
