import type { Grammar, ToolEvent } from './events.ts'
import { failureOrComplaint } from './failure-wording.ts'
import { parseToolLine } from './tool-line.ts'

const NOTHING: readonly ToolEvent[] = []

/** mbstream and xbstream print nothing unless something is wrong. */
export function extractGrammar(): Grammar {
  return (line, complete) => (complete ? failureOrComplaint(parseToolLine(line)) : NOTHING)
}
