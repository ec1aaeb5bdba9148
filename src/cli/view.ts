import type { Observer } from '../restore/state/state.ts'
import { restoreBody } from '../server/restore-body.ts'
import { createJsonView } from './views/json-view.ts'
import type { View, ViewStream } from './views/output.ts'
import { createPlainView } from './views/plain-view.ts'
import { createTtyView } from './views/tty-view.ts'

/** Shows the states of a restore in this process, as the API would serve them. */
export const viewObserver = (view: View): Observer => ({
  observe: state => view.show(restoreBody(state, { backup: state.backup ?? '' })),
})

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

/** The first that is set decides, as in setlocale(3). The Linux console has too few glyphs. */
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
      return { show() {}, close() {} }
  }
}
