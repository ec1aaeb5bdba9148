import { RestoreError } from '../errors.ts'
import type { RestoreState } from './state/state.ts'

const SAYS_UNTOUCHED: ReadonlySet<string> = new Set(['cancelled', 'terminated'])

/**
 * The error with which a restore ends, and its hint true of what remains: a datadir that `stays` full would refuse the same
 * command, and a directory that was prepared in place is not the backup any more that it was.
 */
export function tellRemains(error: RestoreError, { plan, runs }: RestoreState, stays: boolean): RestoreError {
  const hint = stays ? hintOfDatadir(error, plan!.datadir) : hintOfSource(error, plan, runs)
  return hint === error.hint ? error : new RestoreError(error.code, error.message, { ...detailsOf(error), hint })
}

const hintOfDatadir = ({ code, hint }: RestoreError, datadir: string): string =>
  SAYS_UNTOUCHED.has(code)
    ? `${datadir} holds all that was restored, but was not checked to the end: use it as it is, or empty it and restore again`
    : `${hint}; ${datadir} keeps what was restored`

function hintOfSource({ code, hint }: RestoreError, plan: RestoreState['plan'], runs: RestoreState['runs']): string {
  if (!plan?.inPlace || !SAYS_UNTOUCHED.has(code) || runs.every(({ kind }) => kind === 'fetch')) return hint
  return `${plan.targetDir} was consumed in place: restore-agent inspect says what it is now`
}

const detailsOf = ({ lastWords, cause }: RestoreError) => ({ lastWords, ...(cause !== undefined && { cause }) })
