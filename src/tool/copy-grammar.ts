import type { Grammar } from './events.ts'
import { filterGrammar } from './filter-grammar.ts'

/**
 * Messages of cp while it copies a directory source. `expected` are paths, as cp prints them, that it cannot copy and
 * that are not needed: dangling links, and lost+found.
 */
export function copyGrammar(expected: ReadonlySet<string>): Grammar {
  const known = filterGrammar()
  return (line, complete) => {
    const text = line.trim()
    const [, path] = /^(?:\S*\/)?cp: cannot (?:stat|access|open directory) '(.*)': /.exec(text) ?? []
    if (path !== undefined && expected.has(path)) return []
    const events = known(line, complete)
    // Any other line is an error.
    return events.length > 0 || !complete || text === '' ? events : [{ type: 'complaint', level: 'error', text }]
  }
}
