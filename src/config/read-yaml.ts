import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml'
import type { Finding } from './check.ts'

/** What is wrong at one place of the text; `text` is `line:column key.path: message`. */
export interface Problem {
  offset: number
  text: string
}

export interface YamlFile {
  /** Null data where the text is not YAML; duplicate keys alone leave data to look at. */
  data: unknown
  isYaml: boolean
  problems: readonly Problem[]
  /** A finding about the data, at the place it was written. */
  place(finding: Finding): Problem
}

/**
 * Replaces messages of the YAML parser that would repeat a part of the text, which may be a secret, or that are written
 * for programmers.
 */
const OWN_WORDS: Readonly<Record<string, string>> = {
  BAD_ALIAS: 'not a valid anchor or alias',
  BAD_DIRECTIVE: 'not a valid directive',
  BAD_DQ_ESCAPE: 'not a valid escape in a double-quoted string',
  BAD_SCALAR_START: 'a value cannot start with this character: quote it',
  MULTIPLE_DOCS: 'a second document begins here; there can be only one',
  RESOURCE_EXHAUSTION: 'nested too deeply',
  TAG_RESOLVE_FAILED: 'tags such as this one are not supported here',
  UNEXPECTED_TOKEN: 'this cannot stand here',
}

/** YAML 1.2 (`yes` is a text there) as plain data, remembering where each key and value stands. Never throws. */
export function readYaml(text: string): YamlFile {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'error',
    schema: 'core',
  })
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return `${Math.max(1, line)}:${Math.max(1, col)}`
  }
  const problem = (offset: number, message: string): Problem => ({ offset, text: `${at(offset)}: ${message}` })

  const problems = [...document.errors, ...document.warnings].map(error =>
    problem(error.pos[0], OWN_WORDS[error.code] ?? error.message),
  )
  // A thousand nested brackets give one message, not a thousand.
  const deep = problems.find(({ text }) => text.includes(OWN_WORDS.RESOURCE_EXHAUSTION!))
  if (deep !== undefined) return { data: null, isYaml: false, problems: [deep], place: () => deep }

  let isYaml = problems.length === 0
  // Keys are checked here and not by the parser: its message for a duplicate does not say where the first one stands.
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) !== undefined) return
      problems.push(problem(alias.range?.[0] ?? 0, 'an alias without its anchor'))
      isYaml = false
    },
    Map(_, map) {
      const first = new Map<string, number>()
      for (const { key } of map.items) {
        const offset = startOf(key) ?? startOf(map) ?? 0
        if (!isScalar(key)) {
          problems.push(problem(offset, 'a key must be a plain word'))
          isYaml = false
          continue
        }
        const name = String(key.value)
        const earlier = first.get(name)
        if (earlier === undefined) first.set(name, offset)
        else problems.push({ offset, text: `${at(offset)} ${printable(name)}: given twice, first at ${at(earlier)}` })
      }
    },
  })

  let data: unknown = null
  try {
    if (isYaml) data = document.toJS()
  } catch {
    problems.push(problem(0, 'aliases that expand to too much'))
    isYaml = false
  }

  /** A file may have very many wrong keys, so each mapping is searched through once. */
  const indexes = new Map<unknown, Map<string, Pair>>()
  function pairsOf(map: YAMLMap): Map<string, Pair> {
    const known = indexes.get(map)
    if (known) return known
    // The last of duplicates stays: its value is the one that was checked.
    const index = new Map(map.items.flatMap(pair => (isScalar(pair.key) ? [[String(pair.key.value), pair]] : [])))
    indexes.set(map, index)
    return index
  }

  function place({ path, onKey, message }: Finding): Problem {
    let node: unknown = document.contents
    let offset = startOf(node) ?? 0
    const walked: string[] = []
    for (const [index, part] of path.entries()) {
      if (isAlias(node)) node = node.resolve(document)
      if (isMap(node)) {
        const pair = pairsOf(node).get(String(part))
        if (pair === undefined) break
        const keyOffset = startOf(pair.key) ?? offset
        offset = onKey && index === path.length - 1 ? keyOffset : (startOf(pair.value) ?? keyOffset)
        node = pair.value
      } else if (isSeq(node) && typeof part === 'number') {
        node = node.items[part]
        offset = startOf(node) ?? offset
      } else break // A single source stands where the schema sees a list of one.
      walked.push(printable(String(part)))
    }
    return { offset, text: `${at(offset)}${walked.length > 0 ? ` ${walked.join('.')}` : ''}: ${message}` }
  }

  return { data, isYaml, problems, place }
}

const startOf = (node: unknown): number | null => (isNode(node) ? (node.range?.[0] ?? null) : null)

/** Keys are shown, so one that is no word is cut and escaped. */
const printable = (key: string): string =>
  /^[\w.-]{1,64}$/.test(key) ? key : JSON.stringify(key.length > 64 ? `${key.slice(0, 63)}…` : key)
