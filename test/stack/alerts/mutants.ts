/**
 * Every clause of a rule broken, one by one: a clause dropped, a comparison turned round, a number or a duration halved
 * or doubled, a matcher, a grouping or a matching label taken away, `and` for `unless`, an aggregation for its
 * opposite. It works on the text, so it relies on the rules' layout: one clause a line.
 *
 * Left out, since they cannot change an alert: doubling one of several ranges that are joined by `and` (the others
 * still bound it; all are doubled together instead), or all where the value of an hour ago is subtracted (it grows as
 * well).
 */
export interface Rule {
  alert?: string
  record?: string
  expr: string
  for?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
}

export interface Mutant {
  /** What was broken, for the name of the test. */
  broken: string
  rule: Rule
}

interface Replacement {
  pattern: RegExp
  by: (match: string) => string[]
}

const DURATION = /(\d+)(s|m|h)\b/
const NUMBER = /(?<![\w.[])\d+(?![\w.])/g

function scaleDuration(text: string, factor: number): string {
  const [, count, unit] = DURATION.exec(text) ?? []
  const seconds = Number(count) * { s: 1, m: 60, h: 3600 }[unit as 's' | 'm' | 'h'] * factor
  return `${Math.round(seconds)}s`
}

const REPLACEMENTS: readonly Replacement[] = [
  { pattern: />=|==|>|</g, by: op => ({ '>=': ['<', '>'], '==': ['!='], '>': ['<'], '<': ['>'] })[op]! },
  { pattern: NUMBER, by: n => (n === '0' ? ['1'] : [String(Number(n) * 2), String(Number(n) / 2)]) },
  { pattern: /\[\w+\]/g, by: range => [`[${scaleDuration(range, 0.5)}]`] },
  {
    pattern: /offset \w+/g,
    by: text => ['', `offset ${scaleDuration(text, 0.5)}`, `offset ${scaleDuration(text, 2)}`],
  },
  { pattern: /\{[^}]*\}/g, by: () => [''] },
  { pattern: /\bby \([^)]*\) /g, by: () => [''] },
  { pattern: /\bon \([^)]*\)/g, by: text => ['', ...dropOneLabel(text)] },
  { pattern: /\bignoring \([^)]*\)/g, by: () => [''] },
  { pattern: /\bgroup_left \(\)/g, by: () => [''] },
  { pattern: /\bmax(?= by)/g, by: () => ['min'] },
  { pattern: /\bsum(?= by)/g, by: () => ['max'] },
  { pattern: /\brate(?=\()/g, by: () => ['delta'] },
  { pattern: /\b(and|unless)\b/g, by: word => [word === 'and' ? 'unless' : 'and'] },
  { pattern: /^ *(and|unless|or|==|>=|>|<|-) .*$/gm, by: () => [''] },
]

function dropOneLabel(on: string): string[] {
  const labels = on.slice(4, -1).split(', ')
  return labels.length === 1 ? [] : labels.map(label => `on (${labels.filter(other => other !== label).join(', ')})`)
}

function* brokenExpressions(expr: string): Generator<{ broken: string; expr: string }> {
  for (const { pattern, by } of REPLACEMENTS) {
    for (const match of expr.matchAll(pattern)) {
      for (const replacement of by(match[0])) {
        const at = match.index
        const line = expr.slice(0, at).split('\n').length
        yield {
          broken: `line ${line}: ${match[0].trim()} -> ${replacement || 'nothing'}`,
          expr: expr.slice(0, at) + replacement + expr.slice(at + match[0].length),
        }
      }
    }
  }
  if (/\[\w+\]/.test(expr) && !expr.includes('offset')) {
    yield { broken: 'all ranges doubled', expr: expr.replaceAll(/\[\w+\]/g, range => `[${scaleDuration(range, 2)}]`) }
  }
}

export function* mutantsOf(rule: Rule): Generator<Mutant> {
  for (const { broken, expr } of brokenExpressions(rule.expr)) yield { broken, rule: { ...rule, expr } }
  if (rule.alert === undefined) return
  const waits = rule.for === undefined ? ['1m'] : ['0s', scaleDuration(rule.for, 2)]
  for (const wait of waits) yield { broken: `for: ${rule.for ?? 'none'} -> ${wait}`, rule: { ...rule, for: wait } }
}
