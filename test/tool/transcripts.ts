import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Grammar, ToolEvent } from '../../src/tool/events.ts'

const TRANSCRIPTS = join(import.meta.dirname, '../fixtures/transcripts')

export const transcriptDir = (name: string): string => join(TRANSCRIPTS, name)

/** What the tool wrote to stderr; `name` is family and folder, or the path of a file. */
export function stderrOf(name: string): string {
  const path = transcriptDir(name)
  if (name.endsWith('.log')) return readFileSync(path, 'utf8')
  if (!existsSync(join(path, 'stderr.chunks.jsonl'))) return readFileSync(join(path, 'stderr.log'), 'utf8')
  const chunks = readFileSync(join(path, 'stderr.chunks.jsonl'), 'utf8').trim().split('\n')
  return chunks.map(line => JSON.parse(line).data as string).join('')
}

export const foldersOf = (family: string): string[] =>
  readdirSync(transcriptDir(family), { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(entry => entry.name)

/** Every line offered once, complete. */
export const eventsOf = (grammar: Grammar, text: string): ToolEvent[] =>
  text.split('\n').flatMap(line => [...grammar(line, true)])

/** As a tail of a growing file offers them: after every piece the unfinished line too. */
export function eventsOfPieces(grammar: Grammar, pieces: Iterable<string>): ToolEvent[] {
  const events: ToolEvent[] = []
  let open = ''
  for (const piece of pieces) {
    const lines = (open + piece).split('\n')
    open = lines.pop() ?? ''
    for (const line of lines) events.push(...grammar(line, true))
    if (open !== '') events.push(...grammar(open, false))
  }
  if (open !== '') events.push(...grammar(open, true))
  return events
}

type Of<T extends ToolEvent['type']> = Extract<ToolEvent, { type: T }>

export const only = <T extends ToolEvent['type']>(events: readonly ToolEvent[], type: T): Of<T>[] =>
  events.filter((event): event is Of<T> => event.type === type)

/** How many events of each type. */
export function countsOf(events: readonly ToolEvent[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { type } of events) counts[type] = (counts[type] ?? 0) + 1
  return counts
}
