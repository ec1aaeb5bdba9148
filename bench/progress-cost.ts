/**
 * What the estimator costs: an event of each kind, and a tool that floods stderr with 100,000 lines a second, through
 * splitter, grammar and estimator as in a restore.
 *
 *   node bench/progress-cost.ts
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createLineSplitter } from '../src/process/line-splitter.ts'
import { advanceProgress, initialProgress, type ProgressState, viewProgress } from '../src/progress/estimator.ts'
import type { ProgressInput } from '../src/progress/progress.ts'
import { NO_FACTS } from '../src/progress/state.ts'
import { xtrabackupGrammar } from '../src/tool/xtrabackup-grammar.ts'

const EVENTS = 200_000
const FLOOD_SECONDS = 10
const LINES_PER_READ = 10_000
const WARM_UP_READS = 30
const COMPLAINT =
  '2026-01-15T03:02:52.974000-00:00 0 [Warning] [MY-011959] [InnoDB] Difficult to find free blocks in the buffer pool (21 search iterations)!\n'

function begun(): ProgressState {
  const inputs: ProgressInput[] = [
    { type: 'restart', elements: 1 },
    { type: 'element', position: 1, facts: { ...NO_FACTS, tool: 'xtrabackup', lastLsn: 1e9, memoryBytes: 1e8 } },
    { type: 'phase', phase: 'preparing_backup' },
    { type: 'tool', event: { type: 'checkpoint', lsn: 0 } },
  ]
  return inputs.reduce((state, input) => advanceProgress(state, input, 0), initialProgress())
}

const counters = (i: number) => ({ cpuSeconds: i, rcharBytes: i * 1e5, readBytes: i * 1e5, writeBytes: i * 1e5 })
const kinds: Record<string, (i: number) => ProgressInput> = {
  'scan line': i => ({ type: 'tool', event: { type: 'redo_scanned', lsn: i * 5_000 } }),
  'page batch': i => ({ type: 'tool', event: { type: 'pages_left', pages: 9, lsn: i * 5_000, endLsn: 1e9 } }),
  complaint: () => ({ type: 'tool', event: { type: 'starved' } }),
  sample: i => ({ type: 'sample', sample: counters(i) }),
  tick: () => ({ type: 'tick' }),
}
for (const [name, input] of Object.entries(kinds)) {
  let state = begun()
  const before = process.cpuUsage()
  for (let i = 1; i <= EVENTS; i++) state = advanceProgress(state, input(i), i)
  const { user, system } = process.cpuUsage(before)
  console.log(`${name.padEnd(12)} ${((user + system) / EVENTS).toFixed(2)} us of CPU`)
}

const splitter = createLineSplitter()
const grammar = xtrabackupGrammar()
const chunk = Buffer.from(COMPLAINT.repeat(LINES_PER_READ))
let state = begun()
let busyMs = 0
const collect = collector()
let warmBytes = 0
for (let read = 0; read < FLOOD_SECONDS * 10; read++) {
  const atMs = 100 * read
  if (read === WARM_UP_READS) warmBytes = keptBytes()
  const startedAt = performance.now()
  for (const line of splitter.push(chunk, atMs))
    for (const event of grammar(line.text, line.complete)) state = advanceProgress(state, { type: 'tool', event }, atMs)
  viewProgress(state, atMs)
  busyMs += performance.now() - startedAt
}
const lines = FLOOD_SECONDS * 10 * LINES_PER_READ
console.log(
  `flood        ${((1000 * busyMs) / lines).toFixed(2)} us a line: ${(busyMs / FLOOD_SECONDS / 10).toFixed(0)} % of a core at 100,000 lines/s, ` +
    `a read of 100 ms of it takes ${(busyMs / FLOOD_SECONDS / 10).toFixed(0)} ms, state ${JSON.stringify(state).length} bytes, ` +
    `kept in memory ${((keptBytes() - warmBytes) / 1e6).toFixed(1)} MB more than after ${WARM_UP_READS / 10} s of it`,
)

function keptBytes(): number {
  collect()
  return process.memoryUsage().heapUsed
}

/** The garbage collector, to be called at will. */
function collector(): () => void {
  setFlagsFromString('--expose_gc')
  return runInNewContext('gc') as () => void
}
