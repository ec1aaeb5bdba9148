/**
 * A recorded prepare as the estimator would have met it: inputs with their times, from a folder with
 * `stderr.chunks.jsonl` (else `stderr.timed.log`), and where present the checkpoints file, `proc.samples.tsv` and
 * `facts.json`. Lines go through the splitter and the grammar that a restore uses, stderr being read every 100 ms.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createLineSplitter } from '../../src/process/line-splitter.ts'
import type { ToolSample } from '../../src/process/proc-sample.ts'
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
  /** Whether the tool was seen to end; otherwise the recording was cut, and the tool may go on in silence. */
  ended: boolean
  /** In order of time. */
  inputs: readonly TimedInput[]
}

const READ_EVERY_MS = 100
const TICKS_PER_SECOND = 100

/**
 * Folders of prepares at or below `dir`; others (extract, move-back) are left out. Throws where there is no recording
 * at all.
 */
export function findTranscripts(dir: string): string[] {
  if (!existsSync(dir)) throw new Error(`${dir}: no such folder`)
  if (!statSync(dir).isDirectory()) throw new Error(`${dir}: not a folder`)
  const recorded = below(dir)
  if (recorded.length === 0) throw new Error(`${dir}: nothing recorded in it (no ${STDERR.join(', no ')})`)
  return recorded.filter(isPrepare)
}

/** Folders of recordings, of whatever command. */
function below(dir: string): string[] {
  if (stderrFile(dir) !== null) return [dir]
  return readdirSync(dir, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(entry => join(dir, entry.name))
    .sort()
    .flatMap(below)
}

/** Throws, naming the file, where nobody can say what was recorded. */
export function readTranscript(dir: string): Transcript {
  const chunks = readChunks(stderrFile(dir)!)
  const stderr = chunks.map(chunk => chunk.data).join('')
  const facts = readFacts(dir, stderr)
  const samples = readSamples(dir)
  const end = readEnd(dir, stderr)
  const lastMs = Math.max(0, chunks.at(-1)?.atMs ?? 0, samples.at(-1)?.atMs ?? 0)
  // One that was cut ends with a whole look at stderr: what the last one saw, it would have seen in a longer run too.
  const durationMs = end.durationMs ?? Math.ceil((lastMs + 1) / READ_EVERY_MS) * READ_EVERY_MS
  if (chunks.length === 0 || durationMs === 0) throw new Error(`${dir}: nothing was recorded`)
  const inputs: TimedInput[] = [
    { atMs: 0, input: { type: 'restart', elements: 1 } },
    { atMs: 0, input: { type: 'element', position: 1, facts } },
    { atMs: 0, input: { type: 'phase', phase: 'preparing_backup' } },
    ...[...readLines(chunks, durationMs, facts.tool), ...samples].sort((a, b) => a.atMs - b.atMs),
  ]
  return { name: basename(dir), durationMs, succeeded: end.succeeded, ended: end.ended, inputs }
}

interface Chunk {
  atMs: number
  data: string
}

const STDERR = ['stderr.chunks.jsonl', 'stderr.timed.log']

const stderrFile = (dir: string): string | null =>
  STDERR.map(name => join(dir, name)).find(path => existsSync(path)) ?? null

/** Without the command only a folder of something else would tell, and those have it. */
const isPrepare = (dir: string): boolean => readIfThere(join(dir, 'command.txt'))?.includes('--prepare') ?? true

/** Chunks in order of time. A last line without its end was cut while it was written. */
function readChunks(path: string): Chunk[] {
  const text = readFileSync(path, 'utf8')
  const lines = text.split('\n')
  const isCut = lines.at(-1) !== ''
  const read = path.endsWith('.jsonl') ? readChunk : readTimedLine
  return lines.flatMap((line, i) => {
    if (line === '') return []
    const chunk = read(line, isCut && i === lines.length - 1)
    if (chunk === null) throw new Error(`${path}: line ${i + 1} is not ${FORMS[read.name]}`)
    return chunk.data === '' ? [] : [chunk]
  })
}

const FORMS: Record<string, string> = {
  readChunk: '{"ms": number, "data": string}',
  readTimedLine: 'milliseconds TAB text',
}

function readChunk(line: string, isCut: boolean): Chunk | null {
  try {
    const { ms, data } = JSON.parse(line) as { ms: unknown; data: unknown }
    return typeof ms === 'number' && typeof data === 'string' ? { atMs: ms, data } : null
  } catch {
    return isCut ? { atMs: 0, data: '' } : null
  }
}

function readTimedLine(line: string, isCut: boolean): Chunk | null {
  const [, ms, text] = /^(\d+)\t(.*)$/s.exec(line) ?? []
  if (ms === undefined) return isCut ? { atMs: 0, data: '' } : null
  return { atMs: Number(ms), data: isCut ? text! : `${text}\n` }
}

/** When and how the tool ended; a duration of null: nobody saw it end. */
function readEnd(dir: string, stderr: string): { durationMs: number | null; succeeded: boolean; ended: boolean } {
  const truth = readJson(join(dir, 'truth.json'))
  if (truth !== null) {
    const { total_ms: durationMs, complete = saysOk(stderr) } = truth as { total_ms?: unknown; complete?: unknown }
    if (typeof durationMs !== 'number')
      throw new Error(`${join(dir, 'truth.json')}: no total_ms, which says when it ended`)
    return { durationMs, succeeded: complete === true, ended: complete === true }
  }
  const exit = readIfThere(join(dir, 'exit.txt'))
  if (exit === null) return { durationMs: null, succeeded: false, ended: false }
  const elapsed = /^elapsed_ms (\d+)/m.exec(exit)?.[1]
  if (elapsed === undefined) throw new Error(`${join(dir, 'exit.txt')}: no elapsed_ms, which says when it ended`)
  return { durationMs: Number(elapsed), succeeded: /^exit 0$/m.test(exit), ended: true }
}

const saysOk = (stderr: string): boolean => /completed OK!\s*$/.test(stderr)

function readFacts(dir: string, stderr: string): WorkFacts {
  const checkpoints =
    readIfThere(join(dir, 'xtrabackup_checkpoints')) ?? readIfThere(join(dir, 'mariadb_backup_checkpoints')) ?? ''
  const number = (key: string) => {
    const value = new RegExp(`^${key} = (\\d+)`, 'm').exec(checkpoints)?.[1]
    return value === undefined ? null : Number(value)
  }
  const lookedUp = (readJson(join(dir, 'facts.json')) ?? {}) as Partial<WorkFacts>
  return {
    tool: /mariadb-backup|mariabackup/.test(stderr.slice(0, 4000)) ? 'mariadb-backup' : 'xtrabackup',
    toolVersion: null,
    sourceBytes: null,
    chainBytes: [],
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
    binlogBytes: 0,
  }
}

function memoryOf(command: string): number | null {
  const match = /--use-memory[= ](\d+)([KMG]?)/i.exec(command)
  return match === null
    ? null
    : Number(match[1]) * { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[match[2]!.toUpperCase()]!
}

function readLines(chunks: readonly Chunk[], durationMs: number, tool: WorkFacts['tool']): TimedInput[] {
  const splitter = createLineSplitter({ quietMs: 0 })
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
  const lines = (readIfThere(join(dir, 'proc.samples.tsv')) ?? '').split('\n')
  // What comes after the last newline was cut while it was written.
  lines.pop()
  const columns = lines.shift()?.split('\t') ?? []
  const at = (cells: readonly string[], name: string) => {
    const cell = cells[columns.indexOf(name)]
    return cell === undefined || cell === '' ? null : Number(cell)
  }
  return lines.filter(Boolean).map((line, i) => {
    const cells = line.split('\t')
    const [seconds, ticks] = [at(cells, 't_s'), at(cells, 'cpu_ticks')]
    const sample: ToolSample = {
      cpuSeconds: ticks === null ? null : ticks / TICKS_PER_SECOND,
      rcharBytes: at(cells, 'rchar'),
      readBytes: at(cells, 'read_bytes'),
      writeBytes: at(cells, 'write_bytes'),
    }
    if (seconds === null || [seconds, ...Object.values(sample)].some(Number.isNaN))
      throw new Error(`${join(dir, 'proc.samples.tsv')}: line ${i + 2} is not what its first line names`)
    return { atMs: Math.round(1000 * seconds), input: { type: 'sample', sample } }
  })
}

function readJson(path: string): unknown {
  const text = readIfThere(path)
  if (text === null) return null
  try {
    return Object(JSON.parse(text))
  } catch {
    throw new Error(`${path}: not JSON`)
  }
}

const readIfThere = (path: string): string | null => (existsSync(path) ? readFileSync(path, 'utf8') : null)
