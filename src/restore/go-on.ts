import { statSync } from 'node:fs'
import type { RestoreOptions } from '../config/options.ts'
import { RestoreError } from '../errors.ts'
import { bootId } from '../process/proc-stat.ts'
import { currentOptions } from './current-options.ts'
import type { Place } from './place.ts'
import { runSession } from './run-session.ts'
import type { RestoreSession, SessionSurroundings } from './session.ts'
import type { RestoreState } from './state.ts'
import { takeOver } from './take-over.ts'

/** Goes on with the restore that was found interrupted, as it was begun. */
export async function goOn(
  place: Place,
  found: RestoreState,
  surroundings: SessionSurroundings,
): Promise<RestoreSession> {
  const { trace, link } = surroundings.beginTrace()
  const taken = await takeOver(found, place.toolLock, {
    agentPid: process.pid,
    bootId: bootId(),
    idPrefix: trace.idPrefix,
    link: link ?? (trace.parentSpanId ? { traceId: trace.traceId, spanId: trace.parentSpanId } : null),
  })
  return runSession(place, { ...taken, resumed: true }, surroundings)
}

/** The same for a call that asks for one: throws `unfinished` where it asks for another. */
export async function goOnAsAsked(
  place: Place,
  found: RestoreState,
  asked: RestoreOptions,
  surroundings: SessionSurroundings,
): Promise<RestoreSession> {
  if (!isSameRestore(found.options, asked))
    throw new RestoreError(
      'unfinished',
      `the restore of ${found.options.sources.join(' ')} into ${found.options.datadir} was interrupted and is not finished`,
    )
  checkUnchanged(found)
  const session = await goOn(place, found, surroundings)
  const unused = otherOptions(found.options, asked)
  if (unused.length > 0)
    session.store.dispatch({
      type: 'notice',
      atMs: Date.now(),
      text: `the restore goes on as it was begun; other values are given now for ${unused.join(', ')}, and not used`,
    })
  return session
}

const isSameRestore = (a: RestoreOptions, b: RestoreOptions): boolean =>
  a.datadir === b.datadir && JSON.stringify(a.sources) === JSON.stringify(b.sources)

/** What was extracted of another file under the same name must not pass for this one. Throws `unfinished`. */
function checkUnchanged(found: RestoreState): void {
  for (const source of currentOptions(found).sources) {
    const stat = source === '-' ? undefined : statSync(source, { throwIfNoEntry: false })
    if (stat?.isFile() && stat.mtimeMs > found.startedAtMs)
      throw new RestoreError(
        'unfinished',
        `${source} was changed after the restore began that was interrupted and is not finished`,
        { hint: 'to restore what it is now, begin anew with another --state-dir' },
      )
  }
}

/** Keys of options by which a restore differs. A deadline given as a duration is another one each time. */
const otherOptions = (a: RestoreOptions, b: RestoreOptions): string[] =>
  (Object.keys(b) as (keyof RestoreOptions)[]).filter(
    key => !OF_THIS_CALL.has(key) && JSON.stringify(a[key]) !== JSON.stringify(b[key]),
  )
const OF_THIS_CALL: ReadonlySet<string> = new Set(['json', 'quiet', 'color', 'dryRun', 'deadlineMs'])
