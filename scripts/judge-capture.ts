import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { exitOfShellStatus } from '../src/process/tool-exit.ts'
import { endOfRedo, initialRecovery, recoveryAfter } from '../src/progress/recovery.ts'
import { NO_FACTS } from '../src/progress/state.ts'
import type { ToolEvent } from '../src/tool/events.ts'
import { extractGrammar } from '../src/tool/extract-grammar.ts'
import { type Judgement, judgeExit, type ToolPhase } from '../src/tool/judge-exit.ts'
import { xtrabackupGrammar } from '../src/tool/xtrabackup-grammar.ts'

export interface Capture {
  phase: ToolPhase
  /** As the shell saw it. */
  exit: number
  events: readonly ToolEvent[]
  verdict: Judgement | null
}

/** What the agent makes of a captured run of xtrabackup or xbstream; `lastLsn` of the backup where it is known. */
export function judgeCapture(dir: string, lastLsn: number | null = null): Capture {
  const read = (name: string) => readFileSync(join(dir, name), 'utf8')
  const phase = phaseOf(read('command.txt'))
  const grammar = phase === 'extract' ? extractGrammar() : xtrabackupGrammar()
  const events = stderrOf(dir)
    .split('\n')
    .flatMap(line => [...grammar(line, true)])
  const exit = Number(/^exit (\d+)/.exec(read('exit.txt'))![1])
  const verdict = judgeExit({
    program: phase === 'extract' ? 'xbstream' : 'xtrabackup',
    phase,
    exit: exitOfShellStatus(exit),
    failures: events.filter(event => event.type === 'failure'),
    complaints: events.filter(event => event.type === 'complaint'),
    saidCompletedOk: events.some(({ type }) => type === 'completed_ok'),
  })
  return { phase, exit, events, verdict: redoVerdict(verdict, events, lastLsn) ?? verdict }
}

/** The LSN at which the redo ended; null where nobody knows. */
export function endOfRedoIn(events: readonly ToolEvent[], succeeded: boolean): number | null {
  const facts = { ...NO_FACTS, tool: 'xtrabackup' as const }
  const recovery = events.reduce((before, event) => recoveryAfter(before, event, facts), initialRecovery)
  return endOfRedo(recovery, facts, succeeded)
}

function redoVerdict(
  verdict: Judgement | null,
  events: readonly ToolEvent[],
  lastLsn: number | null,
): Judgement | null {
  if (verdict !== null && verdict.code !== 'prepare_failed') return null
  const end = endOfRedoIn(events, verdict === null)
  if (end === null || lastLsn === null || end >= lastLsn) return null
  return { code: 'redo_incomplete', message: `the redo log ends at LSN ${end}, the backup at LSN ${lastLsn}` }
}

function phaseOf(command: string): ToolPhase {
  if (command.includes('xbstream')) return 'extract'
  if (command.includes('--move-back')) return 'move_back'
  return command.includes('--prepare') ? 'prepare' : 'decompress'
}

function stderrOf(dir: string): string {
  const chunks = join(dir, 'stderr.chunks.jsonl')
  if (!existsSync(chunks)) return readFileSync(join(dir, 'stderr.log'), 'utf8')
  const lines = readFileSync(chunks, 'utf8').split('\n').filter(Boolean)
  return lines.map(line => (JSON.parse(line) as { data: string }).data).join('')
}
