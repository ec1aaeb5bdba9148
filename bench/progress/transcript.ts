/**
 * A recorded prepare as the estimator would have met it: inputs with their times, from a folder with `stderr.chunks.jsonl`
 * (else `stderr.timed.log`), and where present the checkpoints file, `proc.samples.tsv` and `facts.json`.
 * Lines go through the splitter and the grammar that a restore uses, stderr being read every 100 ms.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createLineSplitter } from '../../src/process/line-splitter.ts'
import type { ProgressInput, WorkFacts } from '../../src/progress/progress.ts'
import { mariadbBackupGrammar } from '../../src/tool/mariadb-backup-grammar.ts'
import { xtrabackupGrammar } from '../../src/tool/xtrabackup-grammar.ts'

export interface TimedInput {
  atMs: number
  input: ProgressInput
}

export interface Transcript {
  name: string
  /** The tool's whole run; for one that was cut, until where it was recorded. */
  durationMs: number
  succeeded: boolean
  /** In order of time. */
  inputs: readonly TimedInput[]
}

const READ_EVERY_MS = 100
const TICKS_PER_SECOND = 100

/** Folders of prepares at or below `dirs`; others (extract, move-back) are left out. */
export function findTranscripts(dirs: readonly string[]): string[] {
  return dirs.flatMap(dir => {
    if (chunksFile(dir) !== null) return isPrepare(dir) ? [dir] : []
    return readdirSync(dir, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(entry => join(dir, entry.name))
      .sort()
      .flatMap(sub => findTranscripts([sub]))
  })
}

export function readTranscript(dir: string): Transcript {
  const chunks = readChunks(dir)
  const truth = readTruth(dir)
  const durationMs = truth.durationMs ?? chunks.at(-1)?.atMs ?? 0
  const facts = readFacts(dir, chunks.map(chunk => chunk.data).join(''))
  const inputs: TimedInput[] = [
    { atMs: 0, input: { type: 'restart', elements: 1 } },
    { atMs: 0, input: { type: 'element', position: 1, facts } },
    { atMs: 0, input: { type: 'phase', phase: 'preparing_backup' } },
    ...[...readLines(chunks, durationMs, facts.tool), ...readSamples(dir)].sort((a, b) => a.atMs - b.atMs),
  ]
  return { name: basename(dir), durationMs, succeeded: truth.succeeded, inputs }
}

interface Chunk {
  atMs: number
  data: string
}

function chunksFile(dir: string): string | null {
  return ['stderr.chunks.jsonl', 'stderr.timed.log'].map(name => join(dir, name)).find(path => existsSync(path)) ?? null
}

function isPrepare(dir: string): boolean {
  const command = readIfThere(join(dir, 'command.txt'))
  return command === null ? existsSync(join(dir, 'truth.json')) : command.includes('--prepare')
}

function readChunks(dir: string): Chunk[] {
  const path = chunksFile(dir)!
  const lines = readFileSync(path, 'utf8').split('\n')
  if (path.endsWith('.jsonl')) {
    return lines.filter(Boolean).map(line => {
      const { ms, data } = JSON.parse(line) as { ms: number; data: string }
      return { atMs: ms, data }
    })
  }
  return lines.filter(Boolean).map(line => {
    const tab = line.indexOf('\t')
    return { atMs: Number(line.slice(0, tab)), data: `${line.slice(tab + 1)}\n` }
  })
}

function readTruth(dir: string): { durationMs: number | null; succeeded: boolean } {
  const truth = readIfThere(join(dir, 'truth.json'))
  if (truth !== null) {
    const { total_ms, complete } = JSON.parse(truth) as { total_ms: number; complete: boolean }
    return { durationMs: total_ms, succeeded: complete }
  }
  const exit = readIfThere(join(dir, 'exit.txt')) ?? ''
  const elapsed = /^elapsed_ms (\d+)/m.exec(exit)?.[1]
  return { durationMs: elapsed === undefined ? null : Number(elapsed), succeeded: /^exit 0$/m.test(exit) }
}

function readFacts(dir: string, stderr: string): WorkFacts {
  const checkpoints =
    readIfThere(join(dir, 'xtrabackup_checkpoints')) ?? readIfThere(join(dir, 'mariadb_backup_checkpoints')) ?? ''
  const number = (key: string) => {
    const value = new RegExp(`^${key} = (\\d+)`, 'm').exec(checkpoints)?.[1]
    return value === undefined ? null : Number(value)
  }
  const lookedUp = JSON.parse(readIfThere(join(dir, 'facts.json')) ?? '{}') as Partial<WorkFacts>
  return {
    tool: /mariadb-backup|mariabackup/.test(stderr.slice(0, 4000)) ? 'mariadb-backup' : 'xtrabackup',
    toolVersion: null,
    sourceBytes: null,
    fromLsn: number('from_lsn'),
    toLsn: number('to_lsn'),
    lastLsn: number('last_lsn'),
    redoMemoryBytes: number('redo_memory'),
    redoFrames: number('redo_frames'),
    redoBytes: lookedUp.redoBytes ?? null,
    dataFileBytes: lookedUp.dataFileBytes ?? null,
    deltaFiles: lookedUp.deltaFiles ?? null,
    memoryBytes: memoryOf(readIfThere(join(dir, 'command.txt')) ?? ''),
    moveBackFiles: null,
    moveBackCopyBytes: null,
    hasPrepare: true,
    hasMoveBack: false,
    hasStartCheck: false,
  }
}

function memoryOf(command: string): number | null {
  const match = /--use-memory=(\d+)([KMG]?)/i.exec(command)
  return match === null
    ? null
    : Number(match[1]) * { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[match[2]!.toUpperCase()]!
}

function readLines(chunks: readonly Chunk[], durationMs: number, tool: WorkFacts['tool']): TimedInput[] {
  const splitter = createLineSplitter()
  const grammar = tool === 'mariadb-backup' ? mariadbBackupGrammar() : xtrabackupGrammar()
  const inputs: TimedInput[] = []
  const say = (atMs: number, text: string, complete: boolean) => {
    for (const event of grammar(text, complete)) inputs.push({ atMs, input: { type: 'tool', event } })
  }
  let next = 0
  for (let nowMs = 0; nowMs <= durationMs + READ_EVERY_MS; nowMs += READ_EVERY_MS) {
    // What was written since the last look is seen now, but never after the tool has ended.
    const atMs = Math.min(nowMs, durationMs)
    for (; next < chunks.length && chunks[next]!.atMs <= nowMs; next++) {
      for (const line of splitter.push(Buffer.from(chunks[next]!.data), atMs)) say(atMs, line.text, line.complete)
    }
    const open = splitter.offerPartial(nowMs)
    if (open !== null) say(atMs, open.text, open.complete)
  }
  const rest = splitter.flush()
  if (rest !== null) say(durationMs, rest.text, true)
  return inputs
}

function readSamples(dir: string): TimedInput[] {
  const lines = (readIfThere(join(dir, 'proc.samples.tsv')) ?? '').split('\n').filter(Boolean)
  const columns = lines.shift()?.split('\t') ?? []
  const at = (cells: readonly string[], name: string) => {
    const cell = cells[columns.indexOf(name)]
    return cell === undefined || cell === '' ? null : Number(cell)
  }
  return lines.map(line => {
    const cells = line.split('\t')
    const ticks = at(cells, 'cpu_ticks')
    return {
      atMs: Math.round(1000 * (at(cells, 't_s') ?? 0)),
      input: {
        type: 'sample',
        sample: {
          cpuSeconds: ticks === null ? null : ticks / TICKS_PER_SECOND,
          rcharBytes: at(cells, 'rchar'),
          readBytes: at(cells, 'read_bytes'),
          writeBytes: at(cells, 'write_bytes'),
        },
      },
    }
  })
}

const readIfThere = (path: string): string | null => (existsSync(path) ? readFileSync(path, 'utf8') : null)
