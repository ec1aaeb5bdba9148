import type { BinlogPosition } from '../backup/binlog-info.ts'
import type { Observer } from '../restore/state/state.ts'
import { createJsonView } from './views/json-view.ts'
import type { ViewStream } from './views/outlet.ts'
import { createPlainView } from './views/plain-view.ts'
import { createTtyView } from './views/tty-view.ts'

/** Shows a restore to a person or a program. Never throws, waits or slows. */
export interface View extends Observer {
  /** Says how it ended, gives the terminal back and stops. Again: nothing. */
  close(outcome?: Outcome): void
}

/** What is known at the end only. */
export interface Outcome {
  runDir: string
  /** Of the restored backup; null: as the plan has it. */
  binlog: BinlogPosition | null
}

export interface ViewChoice {
  kind: 'tty' | 'plain' | 'json' | 'quiet'
  color: boolean
  /** False: ASCII only. */
  unicode: boolean
}

export interface ViewCircumstances {
  stderrIsTty: boolean
  json: boolean
  quiet: boolean
  noColor: boolean
  env: Readonly<Record<string, string | undefined>>
}

/** https://no-color.org: set and not empty. A dumb terminal cannot move its cursor and gets plain lines. */
export function chooseView({ stderrIsTty, json, quiet, noColor, env }: ViewCircumstances): ViewChoice {
  const canMove = stderrIsTty && env.TERM !== 'dumb' && env.TERM !== ''
  const color = canMove && !noColor && !env.NO_COLOR
  const kind = json ? 'json' : quiet ? 'quiet' : canMove ? 'tty' : 'plain'
  return { kind, color, unicode: hasUnicode(env) }
}

/** The first of these that is set rules, as in setlocale(3); the Linux console has too few glyphs. */
function hasUnicode(env: ViewCircumstances['env']): boolean {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG
  return env.TERM !== 'linux' && (locale === undefined || locale === '' || /utf-?8/i.test(locale))
}

export interface ViewOptions extends ViewChoice {
  stdout: ViewStream
  stderr: ViewStream
  /** Unix ms; for tests. */
  now?: () => number
}

/** Progress goes to stderr, `--json` to stdout. Errors are for reportError, after close. */
export function createView({ kind, color, unicode, stdout, stderr, now = Date.now }: ViewOptions): View {
  switch (kind) {
    case 'tty':
      return createTtyView({ stream: stderr, color, unicode, now })
    case 'plain':
      return createPlainView({ stream: stderr })
    case 'json':
      return createJsonView({ stream: stdout })
    case 'quiet':
      return { observe() {}, close() {} }
  }
}
