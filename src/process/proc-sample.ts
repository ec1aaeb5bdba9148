/**
 * CPU time and I/O of a tool so far, summed over its process and all descendants.
 *
 * When a parent reaps a child, the kernel adds the child's CPU time and I/O to the parent's. So the living tree holds
 * the whole sum. It is read from the top down: a child that ends meanwhile is missing from one sample, and never
 * counted twice. The highest sum seen of a tree fills such a gap, and remains when the tree is gone.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { type ProcStat, readProcStat, TICKS_PER_SECOND, unlessGone, unlessGoneOrHidden } from './proc-stat.ts'

/** What a process has done since it began; null where another user's process hides it. */
export interface ToolSample {
  cpuSeconds: number | null
  /** Through read(2), page cache hits included. */
  rcharBytes: number | null
  /** From and to the disk. */
  readBytes: number | null
  writeBytes: number | null
}

/** Identifies a process although pids are reused. */
export interface ProcessId {
  pid: number
  startTicks: number
}

const UNKNOWN: ToolSample = { cpuSeconds: null, rcharBytes: null, readBytes: null, writeBytes: null }
const NO_IO = { rcharBytes: 0, readBytes: 0, writeBytes: 0 }
export const NO_WORK: ToolSample = { cpuSeconds: 0, ...NO_IO }
const HIDDEN_IO = { rcharBytes: null, readBytes: null, writeBytes: null }

/**
 * Each call samples the trees below `leaders` (the wrappers of a pipeline's tools) and gives their sum. No value
 * decreases. A value is null while another user's process hides it; all are null when no process was ever seen. About
 * 0.1 ms a process.
 */
export function createSampler(leaders: readonly ProcessId[]): () => ToolSample {
  const trees = leaders.map(leader => ({ leader, highest: NO_WORK, shown: null as ToolSample | null }))
  return () => {
    for (const tree of trees) {
      const stat = readProcStat(tree.leader.pid)
      if (stat?.startTicks !== tree.leader.startTicks) continue
      const now = sampleTree(stat)
      tree.highest = combineSamples(tree.highest, now, (highest, value) => Math.max(highest ?? 0, value ?? 0))
      tree.shown = combineSamples(now, tree.highest, (value, highest) => (value === null ? null : highest))
    }
    const seen = trees.flatMap(tree => tree.shown ?? [])
    return seen.length === 0 ? UNKNOWN : seen.reduce(plus)
  }
}

function sampleTree(stat: ProcStat): ToolSample {
  const own = { cpuSeconds: stat.cpuTicks / TICKS_PER_SECOND, ...sampleIo(stat) }
  const children = childrenOf(stat.pid).flatMap(pid => readProcStat(pid) ?? [])
  return children.map(sampleTree).reduce(plus, own)
}

function sampleIo({ pid }: ProcStat): Omit<ToolSample, 'cpuSeconds'> {
  const text = unlessGoneOrHidden(() => readFileSync(`/proc/${pid}/io`, 'latin1'))
  if (text === null) return hasMemory(pid) ? HIDDEN_IO : NO_IO
  const bytes = (key: string) => Number(new RegExp(`^${key}: (\\d+)$`, 'm').exec(text)![1])
  return { rcharBytes: bytes('rchar'), readBytes: bytes('read_bytes'), writeBytes: bytes('write_bytes') }
}

/** A process without memory is ending or a zombie: its I/O is hidden even from its own user. */
function hasMemory(pid: number): boolean {
  const status = unlessGone(() => readFileSync(`/proc/${pid}/status`, 'latin1'))
  return status !== null && /^VmSize:/m.test(status)
}

/** Each thread lists the children that it started itself. */
function childrenOf(pid: number): number[] {
  const read = (path: string) => unlessGone(() => readFileSync(path, 'latin1')) ?? ''
  const threads = unlessGone(() => readdirSync(`/proc/${pid}/task`)) ?? []
  return threads.flatMap(thread => read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number))
}

const plus = (a: ToolSample, b: ToolSample) => combineSamples(a, b, (x, y) => (x === null || y === null ? null : x + y))

type Value = number | null

/** Applies `by` to each value of two samples. */
export function combineSamples(a: ToolSample, b: ToolSample, by: (x: Value, y: Value) => Value): ToolSample {
  return {
    cpuSeconds: by(a.cpuSeconds, b.cpuSeconds),
    rcharBytes: by(a.rcharBytes, b.rcharBytes),
    readBytes: by(a.readBytes, b.readBytes),
    writeBytes: by(a.writeBytes, b.writeBytes),
  }
}
