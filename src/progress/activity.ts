/**
 * Which time counts as work. Time is credited when a line, bytes or I/O show that work was done in it. Time between two
 * samples in which no counter moved (the tool was stopped or hung) is dropped. Time in which only CPU moved is pending
 * until a line or bytes come.
 *
 * Credited seconds go to the running step, and give its rate.
 */
import type { ToolSample } from '../process/proc-sample.ts'
import { type DiskMeter, read } from './cost-model.ts'
import { type Recovery, redoBytes } from './recovery.ts'
import { phaseRemaining, restoreRemaining } from './remaining.ts'
import { glide } from './shown.ts'
import type { ProgressState, Work } from './state.ts'

/** Less I/O than this between two samples is noise: the tool's own log lines are writes too. */
const LEAST_BYTES = 64 * 1024
/** Only a line tells that the scan has reached the end of the redo, never bytes. */
const ALMOST_ALL = 0.995

/** Credits the time until `atMs` to the running step. */
export function credit(state: ProgressState, atMs: number): { state: ProgressState; deltaSeconds: number } {
  const sinceCounted = state.countedMs === null ? 0 : Math.max(0, atMs - state.countedMs) / 1000
  const deltaSeconds = state.pendingSeconds + sinceCounted
  const credited: ProgressState = {
    ...state,
    recovery: recoveryIn(state, deltaSeconds),
    work: workIn(state, deltaSeconds),
    countedMs: Math.max(atMs, state.countedMs ?? atMs),
    pendingSeconds: 0,
    phaseSeconds: state.phaseSeconds + deltaSeconds,
    restoreSeconds: state.restoreSeconds + deltaSeconds,
    lastProgressAtMs: Math.max(atMs, state.lastProgressAtMs ?? atMs),
    lastActivityAtMs: Math.max(atMs, state.lastActivityAtMs ?? atMs),
    starvedSinceMs: null,
  }
  return { state: credited, deltaSeconds }
}

function recoveryIn({ step, recovery, work }: ProgressState, seconds: number): Recovery {
  if (step === 'redo_scan') return { ...recovery, scanSeconds: recovery.scanSeconds + seconds }
  const applying = step === 'redo_apply' || (step === 'flush' && work.ending === 'no')
  return applying ? { ...recovery, batchSeconds: recovery.batchSeconds + seconds } : recovery
}

function workIn({ step, work }: ProgressState, seconds: number): Work {
  switch (step) {
    case 'delta_apply':
      return { ...work, deltaSeconds: work.deltaSeconds + seconds }
    case 'undo_rollback':
      return { ...work, undoSeconds: work.undoSeconds + seconds }
    case 'flush':
      return work.ending === 'no' ? work : { ...work, endingSeconds: work.endingSeconds + seconds }
    case 'shutdown':
      return { ...work, endingSeconds: work.endingSeconds + seconds }
    case 'move_back':
      return { ...work, moveSeconds: work.moveSeconds + seconds }
    default:
      return work
  }
}

/** After evidence: prices what remains, and moves the shown percentages. */
export function move(state: ProgressState, deltaSeconds: number, atMs: number): ProgressState {
  if (state.passed) return state
  const phase = phaseRemaining(state)
  const restore = restoreRemaining(state, phase)
  // Writing a new redo file into the page cache is quick, yet it is much of that file's work.
  const priced = waitsForDisk(state) ? (state.phaseRemainingSeconds ?? 0) - (phase?.seconds ?? 0) : 0
  const worth = Math.max(deltaSeconds, priced)
  const shownPhase =
    phase === null ? state.shownPhase : glide(state.shownPhase, state.phaseSeconds, phase.seconds, worth)
  return {
    ...state,
    lastMovedAtMs: shownPhase === state.shownPhase ? state.lastMovedAtMs : atMs,
    phaseRemainingSeconds: phase?.seconds ?? null,
    restoreRemainingSeconds: restore?.seconds ?? null,
    guessedSeconds: restore?.guessedSeconds ?? 0,
    shownPhase,
    shownRestore:
      restore === null ? state.shownRestore : glide(state.shownRestore, state.restoreSeconds, restore.seconds, worth),
  }
}

/** Takes one sample of the tool's counters. */
export function lookAt(before: ProgressState, sample: ToolSample, atMs: number): ProgressState {
  if (!hasValue(sample)) return { ...before, sample: null }
  const lastSampleAtMs = Math.max(atMs, before.lastSampleAtMs ?? atMs)
  if (before.sample === null) return { ...before, sample, lastSampleAtMs }
  const grown: Growth = {
    seconds: Math.max(0, atMs - (before.lastSampleAtMs ?? atMs)) / 1000,
    cpu: growth(sample.cpuSeconds, before.sample.cpuSeconds),
    rchar: growth(sample.rcharBytes, before.sample.rcharBytes),
    read: growth(sample.readBytes, before.sample.readBytes),
    write: growth(sample.writeBytes, before.sample.writeBytes),
    sinceEvidence: 1,
  }
  // I/O before a line that came since the last sample belongs to what that line ended.
  if (grown.seconds > 0 && before.countedMs !== null)
    grown.sinceEvidence = Math.min(1, Math.max(0, (atMs - before.countedMs) / 1000 / grown.seconds))
  const countedMs = Math.max(atMs, before.countedMs ?? atMs)
  const isQuiet = grown.cpu + grown.rchar + grown.read + grown.write === 0
  if (isQuiet && !waitsForDisk(before)) return { ...before, sample, lastSampleAtMs, countedMs }
  const active: ProgressState = {
    ...before,
    sample,
    lastSampleAtMs,
    countedMs,
    pendingSeconds: before.pendingSeconds + (countedMs - (before.countedMs ?? countedMs)) / 1000,
    lastActivityAtMs: isQuiet ? before.lastActivityAtMs : Math.max(atMs, before.lastActivityAtMs ?? atMs),
  }
  // Outside a prepare, I/O shows that the tool is alive. How far it is, the source's position and the steps tell.
  if (active.phase !== 'preparing_backup') {
    return Math.max(grown.rchar, grown.read + grown.write) < LEAST_BYTES ? active : alive(active, atMs)
  }
  const done = doneBy({ ...active, disk: read(active.disk, grown.read, grown.seconds) }, grown)
  if (done === null) return { ...active, disk: read(active.disk, grown.read, grown.seconds) }
  const credited = credit(done, atMs)
  return move(credited.state, credited.deltaSeconds, atMs)
}

/** Syncing a new redo file moves no counter: that time is pending until the next line. */
const waitsForDisk = ({ work, phase }: ProgressState): boolean =>
  phase === 'preparing_backup' && work.ending === 'new_redo' && !work.completed

const alive = (state: ProgressState, atMs: number): ProgressState => ({
  ...state,
  lastProgressAtMs: Math.max(atMs, state.lastProgressAtMs ?? atMs),
})

/** Growth of the counters between two samples; 0 where a counter is hidden. */
interface Growth {
  seconds: number
  cpu: number
  rchar: number
  read: number
  write: number
  /** Share of these seconds that came after the newest evidence. */
  sinceEvidence: number
}

const hasValue = (sample: ToolSample) =>
  sample.cpuSeconds !== null || sample.rcharBytes !== null || sample.readBytes !== null || sample.writeBytes !== null

/** A counter that went back belongs to another tool: it starts from 0. */
function growth(now: number | null, before: number | null): number {
  if (now === null || before === null) return 0
  return now >= before ? now - before : now
}

/** The state with the bytes of one sample counted for the running step; null where they are no evidence. */
function doneBy(state: ProgressState, grown: Growth): ProgressState | null {
  if (state.starvedSinceMs !== null) return null
  const { recovery, work, facts } = state
  const io = grown.read + grown.write
  const streamed = Math.max(grown.rchar, io)
  if (streamed < LEAST_BYTES) return null
  switch (state.step) {
    case 'redo_scan': {
      // xtrabackup prints its LSN every 5 MiB. MariaDB does every 15 s, and reads redo with pread, which rchar counts.
      const ahead = facts.tool === 'mariadb-backup' && !recovery.scanEnded ? grown.rchar : 0
      const total = redoBytes(recovery, facts) ?? Number.POSITIVE_INFINITY
      const scannedBytes = Math.max(recovery.scannedBytes, Math.min(recovery.scannedBytes + ahead, ALMOST_ALL * total))
      // A second pass reads from the page cache, and tells nothing about the disk.
      const disk = recovery.firstPassBytes > 0 ? state.disk : measured(state.disk, grown, streamed)
      return { ...state, recovery: { ...recovery, scannedBytes }, disk }
    }
    case 'redo_apply':
    case 'flush':
      if (work.ending !== 'no') return state
      return {
        ...state,
        recovery: {
          ...recovery,
          lineReadBytes: recovery.lineReadBytes + grown.sinceEvidence * grown.read,
          lineWriteBytes: recovery.lineWriteBytes + grown.sinceEvidence * grown.write,
          batchWriteBytes: recovery.batchWriteBytes + grown.sinceEvidence * grown.write,
        },
      }
    case 'delta_apply': {
      const bytes = grown.rchar + grown.write
      const deltaIoBytes = work.deltaIoBytes + bytes
      const deltaFileIoBytes = work.deltaFileIoBytes + bytes
      return { ...state, work: { ...work, deltaIoBytes, deltaFileIoBytes }, disk: measured(state.disk, grown, bytes) }
    }
    case 'move_back':
      return { ...state, work: { ...work, bytesCopied: work.bytesCopied + Math.max(grown.rchar, grown.write) } }
    default:
      return io < LEAST_BYTES ? null : state
  }
}

const measured = (disk: DiskMeter, grown: Growth, movedBytes: number): DiskMeter => ({
  ...disk,
  seconds: disk.seconds + grown.seconds,
  cpuSeconds: disk.cpuSeconds + grown.cpu,
  deviceBytes: disk.deviceBytes + grown.read + grown.write,
  movedBytes: disk.movedBytes + movedBytes,
})
