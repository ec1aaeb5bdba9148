import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { ErrorCode } from '../../src/errors.ts'
import { openAccess, openDispatcher } from '../../src/source/transfer/access.ts'
import { requestRange } from '../../src/source/transfer/http-object.ts'
import type { TransferJob } from '../../src/source/transfer/job.ts'
import { readProgress } from '../../src/source/transfer/progress-file.ts'
import { PROJECT } from '../integration/workspace.ts'
import { rangeServer } from '../support/range-server.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { type Fault, type FaultProxy, faultProxy } from './fault-proxy.ts'

/**
 * The transfer process itself, behind a proxy that breaks what it can: the right bytes or the right error, within
 * bounded time. FAULT_SEED=n runs the same again; FAULT_RUNS says how many.
 */
const RUNS = Number(process.env.FAULT_RUNS ?? 10)
const FIRST_SEED = Number(process.env.FAULT_SEED ?? Math.floor(Math.random() * 1e9))
const IDLE_MS = 1000
const PATIENCE_MS = 15_000
const MOST_MS = 60_000

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

interface Ended {
  /** Null: it exited with 0. */
  error: string | null
  stderr: string
  sha: string
  bytes: number
  elapsedMs: number
  progressPath: string
}

/** Runs `restore-agent transfer` for the object that the proxy gives while it is well. */
async function runTransfer(proxy: FaultProxy, begin: () => void): Promise<Ended> {
  const dispatcher = await openDispatcher(2)
  const access = { kind: 'http' as const, url: proxy.url }
  const object = openAccess('the backup', access, dispatcher)
  const first = await requestRange(object, { start: 0, end: 1000 }, null, AbortSignal.timeout(10_000))
  first.body.destroy()
  await dispatcher.destroy()
  const folder = mkdtempSync(join(tmpdir(), 'ra-faults-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const job: TransferJob = {
    name: 'the backup',
    access,
    pin: first.pin,
    ranged: first.ranged,
    checksum: null,
    progressPath: join(folder, 'progress'),
    maxBandwidth: null,
    idleMs: IDLE_MS,
    patienceMs: PATIENCE_MS,
  }
  begin()
  const startedAtMs = performance.now()
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = spawn(process.execPath, [join(PROJECT, 'src/main.ts'), 'transfer', 'the backup'], { env })
  onTestFinished(() => void child.kill('SIGKILL'))
  child.stdin.end(JSON.stringify(job))
  const ended = await collected(child)
  return { ...ended, elapsedMs: performance.now() - startedAtMs, progressPath: job.progressPath }
}

async function collected(child: ChildProcess): Promise<Omit<Ended, 'elapsedMs' | 'progressPath'>> {
  const hash = createHash('sha256')
  let bytes = 0
  let stderr = ''
  child.stdout!.on('data', piece => {
    hash.update(piece)
    bytes += piece.length
  })
  child.stderr!.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const [code] = await once(child, 'close')
  const error = code === 0 ? null : (/^error (\w+): /m.exec(stderr)?.[1] ?? `exit ${code} without an error: ${stderr}`)
  return { error, stderr, sha: hash.digest('hex'), bytes }
}

const PASSING: readonly Fault[] = [
  'reset',
  'cut',
  'stall',
  'silent',
  'slow',
  '500',
  '503',
  'slow_down',
  '403',
  '301',
  'close_idle',
  'long_length',
  'short_range',
  'wrong_range',
  'no_range',
]

/** How a run goes, and what it must end in; null: the right bytes. */
const STORIES: readonly [share: number, name: string, end: ErrorCode | null][] = [
  [0.6, 'faults that pass', null],
  [0.15, 'the object is replaced', 'source_changed'],
  [0.1, 'the server goes away', 'source_unreachable'],
  [0.1, 'access is taken away', 'source_denied'],
  [0.05, 'no fault', null],
]

function storyOf(random: () => number): (typeof STORIES)[number] {
  let left = random()
  for (const story of STORIES) {
    left -= story[0]
    if (left < 0) return story
  }
  return STORIES.at(-1)!
}

test.each(Array.from({ length: RUNS }, (_, run) => FIRST_SEED + run))(
  'the right bytes or the right error (FAULT_SEED=%i FAULT_RUNS=1)',
  async seed => {
    const random = seededRandom(seed)
    const [, story, end] = storyOf(random)
    // Of 1 to 12 windows; one that is to break in the middle has more than fit in the sockets.
    const size = Math.floor((end === null ? 1 : 48) * 2 ** 20 + random() * 48 * 2 ** 20)
    const server = await rangeServer(randomBytes(size))
    const content = server.content
    const proxy = await faultProxy(server.url, random)
    const kinds = PASSING.filter(() => random() < 0.5)
    const rate = story === 'no fault' ? 0 : 0.05 + random() * 0.35
    const breakAt = 2 + Math.floor(random() * 4)
    const ended = await runTransfer(proxy, () => {
      const firstIndex = proxy.count
      proxy.fault = index => {
        const fault = random() < rate && kinds.length > 0 ? kinds[Math.floor(random() * kinds.length)]! : 'none'
        if (index - firstIndex < breakAt || end === null) return fault
        if (end === 'source_unreachable') return 'reset'
        if (end === 'source_denied') return '403'
        if (server.content === content) server.content = randomBytes(size)
        return fault
      }
    })
    const told = `seed ${seed}: ${story}, ${size} bytes, faults ${kinds.join(' ')} at ${rate.toFixed(2)}\n${ended.stderr}`
    expect(ended.error, told).toBe(end)
    if (end === null) expect(ended.sha, told).toBe(sha(content))
    // Whatever was written before the error is the beginning of the first object.
    else expect(ended.sha, told).toBe(sha(content.subarray(0, ended.bytes)))
    expect(ended.elapsedMs, told).toBeLessThan(MOST_MS)
    expect(readProgress(ended.progressPath), told).toMatchObject({ writtenBytes: ended.bytes })
  },
  MOST_MS + 30_000,
)
