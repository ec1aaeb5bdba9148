/**
 * The estimator: inputs in, progress out. Pure, and without a clock: the caller says what time it is.
 *
 *   percent = done / (done + remaining), in seconds: done was measured, remaining is priced at the rates learned so far
 *
 *   activity.ts     which time counts as work
 *   recovery.ts     which redo was read and applied, by LSN and by batch
 *   remaining.ts    seconds that remain of a phase, and of the restore (recovery-remaining.ts: of recovery)
 *   shown.ts        from that estimate to a percentage that never goes back, and to the ETA
 *   watchdog.ts     quiet, stalled, and what the tool does meanwhile
 *   myhoard.ts      MyHoard's own number
 *
 * A state is plain data and is never changed: the beginning of a run gives what the whole run gave until then.
 */

import { credit, lookAt, move } from './activity.ts'
import { initialDisk } from './cost-model.ts'
import { elapsedSoFar, keptOf, secondsOf } from './elapsed.ts'
import { initialMyHoard, myHoardPercent } from './myhoard.ts'
import { isStepOf, takeToolEvent } from './prepare-events.ts'
import type { Progress, ProgressInput, StallThresholds } from './progress.ts'
import { initialRecovery } from './recovery.ts'
import { BINLOG_PHASES, restoreRemaining } from './remaining.ts'
import { etaOf, glide } from './shown.ts'
import { emptyState, initialWork, type ProgressState } from './state.ts'
import { watch } from './watchdog.ts'

export type { ProgressState } from './state.ts'

export function initialProgress(options: { stallThresholds?: StallThresholds } = {}): ProgressState {
  return emptyState(options.stallThresholds ?? {}, 1)
}

/** The state after one input at `atMs` (Unix ms). About a microsecond. */
export function advanceProgress(state: ProgressState, input: ProgressInput, atMs: number): ProgressState {
  switch (input.type) {
    case 'tick':
      return input.pausedMs ? paused(state, input.pausedMs) : state
    case 'tool':
      return takeToolEvent(state, input.event, atMs)
    case 'sample':
      return lookAt(input.lines ? printed(state, atMs) : state, input.sample, atMs)
    case 'source':
      return takeSource(state, input.readBytes, atMs)
    case 'binlogs':
      return takeBinlogs(state, input, atMs)
    case 'facts':
      return { ...state, facts: { ...state.facts, ...input.facts } }
    case 'step':
      return isStepOf(input.step, state.phase) ? evidenced({ ...begun(state, atMs), step: input.step }, atMs) : state
    case 'phase':
      return beginPhase(state, input.phase, atMs)
    case 'element':
      return beginElement(state, input.position, input.facts, atMs)
    case 'passed':
      return state.phase === null ? state : { ...credit(state, atMs).state, passed: true, shownPhase: 100 }
    case 'restart':
      return beginAttempt(state, input, atMs)
  }
}

/** Time without an agent is no stall; it stops counting when progress moves. */
function paused(state: ProgressState, ms: number): ProgressState {
  const { lastProgressAtMs: afterMs, pause } = state
  return { ...state, pause: { ms: ms + (pause.afterMs === afterMs ? pause.ms : 0), afterMs } }
}

/** What is shown at `nowMs`. */
export function viewProgress(state: ProgressState, nowMs: number): Progress {
  const watched = watch(state, nowMs)
  return {
    phasePercent: rounded(state.shownPhase),
    restorePercent: rounded(state.shownRestore),
    scanPercent: state.phase === 'preparing_backup' ? myHoardPercent(state.myhoard, state.facts.lastLsn) : null,
    step: state.step,
    eta: etaOf(state, nowMs, watched.stalled),
    ...watched,
  }
}

const rounded = (percent: number | null) => (percent === null ? null : Math.floor(percent * 100) / 100)

const printed = (state: ProgressState, atMs: number): ProgressState => ({
  ...state,
  lastPrintedAtMs: Math.max(atMs, state.lastPrintedAtMs ?? atMs),
})

const begun = (state: ProgressState, atMs: number): ProgressState => ({
  ...state,
  startedAtMs: state.startedAtMs ?? atMs,
})

function evidenced(state: ProgressState, atMs: number): ProgressState {
  const credited = credit(state, atMs)
  return move(credited.state, credited.deltaSeconds, atMs)
}

function takeSource(state: ProgressState, readBytes: number, atMs: number): ProgressState {
  if (state.phase !== 'restoring_basebackup' || readBytes <= state.work.sourceBytes) return state
  return evidenced({ ...state, work: { ...state.work, sourceBytes: readBytes } }, atMs)
}

/** Also without new bytes: the total may be known only now. */
function takeBinlogs(
  state: ProgressState,
  { doneBytes, totalBytes }: Extract<ProgressInput, { type: 'binlogs' }>,
  atMs: number,
): ProgressState {
  if (!BINLOG_PHASES.has(state.phase)) return state
  const { work } = state
  const isNew = doneBytes > work.binlogBytes || (work.binlogTotalBytes === null && doneBytes === 0)
  const after = {
    ...state,
    work: { ...work, binlogBytes: Math.max(doneBytes, work.binlogBytes), binlogTotalBytes: totalBytes },
  }
  return isNew ? evidenced(after, atMs) : after
}

/**
 * A new attempt keeps the measured seconds of the work that need not be done again. Until it has evidence of its own,
 * the restore is taken to be as long as the last attempt estimated: prices from before any run are no better.
 */
function beginAttempt(
  before: ProgressState,
  { elements, kept = [] }: Extract<ProgressInput, { type: 'restart' }>,
  atMs: number,
): ProgressState {
  const elapsed = keptOf(elapsedSoFar(before), kept)
  const restoreSeconds = secondsOf(elapsed)
  const begun: ProgressState = {
    ...emptyState(before.thresholds, elements),
    elapsed,
    restoreSeconds,
    startedAtMs: atMs,
  }
  if (restoreSeconds === 0 || before.restoreRemainingSeconds === null) return begun
  const remaining = before.restoreRemainingSeconds + Math.max(0, before.restoreSeconds - restoreSeconds)
  const shownRestore = glide(null, restoreSeconds, remaining, 0)
  return { ...begun, restoreRemainingSeconds: remaining, guessedSeconds: remaining, shownRestore }
}

/** A prepare that has not begun. */
const NO_PREPARE = {
  recovery: initialRecovery,
  work: initialWork,
  disk: initialDisk,
  myhoard: initialMyHoard,
  toolEvents: 0,
  eventsToSkip: 0,
}

/** A phase begins at 0. The same phase again, after a takeover, continues from what was shown. */
function beginPhase(before: ProgressState, phase: ProgressState['phase'], atMs: number): ProgressState {
  const again = phase === before.phase && !before.passed
  const state: ProgressState = {
    ...begun(before, atMs),
    phase,
    step: null,
    passed: false,
    sample: null,
    countedMs: atMs,
    pendingSeconds: 0,
    elapsed: again ? before.elapsed : elapsedSoFar(before),
    phaseSeconds: again ? before.phaseSeconds : 0,
    phaseRemainingSeconds: null,
    shownPhase: again ? before.shownPhase : null,
    lastProgressAtMs: atMs,
    lastMovedAtMs: atMs,
    starvedSinceMs: null,
    ...(phase === 'preparing_backup' && NO_PREPARE),
    ...(!again && BINLOG_PHASES.has(phase) && { work: { ...before.work, binlogBytes: 0, binlogTotalBytes: null } }),
  }
  if (phase === 'finalizing') return beginFinalizing(state)
  if (phase === 'completed') return { ...state, shownPhase: null, shownRestore: 100, restoreRemainingSeconds: null }
  if (phase === 'failed' || phase === 'failed_basebackup') return { ...state, restoreRemainingSeconds: null }
  return state
}

/** Only the agent's short checks remain: the restore's percentage moves to its estimate at once. */
function beginFinalizing(state: ProgressState): ProgressState {
  const checks = restoreRemaining(state)
  if (checks === null) return state
  const estimate = glide(null, state.restoreSeconds, checks.seconds, 0)
  return { ...state, shownRestore: Math.max(state.shownRestore ?? 0, estimate) }
}

function beginElement(
  before: ProgressState,
  position: number,
  facts: ProgressState['facts'],
  atMs: number,
): ProgressState {
  return {
    ...begun(before, atMs),
    position,
    facts,
    step: null,
    ...NO_PREPARE,
    passed: false,
    countedMs: atMs,
    pendingSeconds: 0,
    phaseSeconds: 0,
    phaseRemainingSeconds: null,
    restoreRemainingSeconds: null,
    shownPhase: null,
    elapsed: elapsedSoFar(before),
    lastProgressAtMs: atMs,
    lastMovedAtMs: atMs,
  }
}
