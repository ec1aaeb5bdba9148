import { formatBytes, formatClock, formatDuration, formatPercent, formatRoughDuration } from '../../format.ts'
import type { RestoreState } from '../../restore/state/state.ts'
import { type ChecklistRow, checklistRows } from './checklist.ts'
import { formatRate } from './meter.ts'
import { cutPathTo, type Piece, piece, toText, widthOf } from './text-line.ts'
import { currentRate, seenRecently, type Track } from './track.ts'
import { activityWords, PHASE_LABELS, stallHint, stepLabel, stepOf } from './words.ts'

/**
 * The picture on a terminal, as text: what is restored, the phases, one live line, and below it a line only when there is
 * something to worry about. Pure. Every line fits the width: what matters least is left out first, and nothing wraps.
 */
export interface Look {
  /** Columns and rows that may be used. */
  width: number
  height: number
  color: boolean
  /** False: ASCII only. */
  unicode: boolean
}

const UNICODE = {
  done: '✓',
  running: '▸',
  pending: '·',
  failed: '✗',
  full: '━',
  empty: '─',
  unknown: '┄',
  ellipsis: '…',
  dash: '–',
  dot: ' · ',
  to: '→',
}
const ASCII: typeof UNICODE = {
  done: '+',
  running: '>',
  pending: '.',
  failed: 'x',
  full: '#',
  empty: '-',
  unknown: '.',
  ellipsis: '..',
  dash: '-',
  dot: ' | ',
  to: '->',
}

/** The frame while it runs, and as it stays on the terminal once the restore has ended. */
export function renderFrame(state: RestoreState, track: Track, nowMs: number, look: Look): string[] {
  const ended = state.status !== 'running'
  const checklist = renderChecklist(state, track, nowMs, look)
  const live = ended ? [] : [liveLine(state, track, nowMs, look), ...attentionLines(state, track, nowMs, look)]
  const below = live.map(line => toText(line, look.width, look.color, glyphs(look).ellipsis))
  const blank = ended ? [] : ['']
  const whole = [...checklist, ...blank, ...below]
  if (whole.length <= look.height) return whole
  // Too few rows: the live line is worth more than the list, and of the list the end of it.
  const room = Math.max(0, look.height - below.length)
  return [...checklist.slice(Math.max(0, checklist.length - room)), ...below].slice(-Math.max(1, look.height))
}

export function renderChecklist(state: RestoreState, track: Track, nowMs: number, look: Look): string[] {
  const rows = checklistRows(state, track, nowMs)
  const narrow = look.width < 36
  const labelOf = (row: ChecklistRow) => (narrow ? row.shortLabel : row.label)
  const labelWidth = Math.max(...rows.map(row => labelOf(row).length))
  const glyph = glyphs(look)
  const lines = rows.map((row): Piece[] => {
    const indent = narrow ? '' : ' '
    const label = labelOf(row).padEnd(labelWidth)
    const elapsed = (row.elapsedMs === null ? '' : formatDuration(row.elapsedMs)).padStart(narrow ? 8 : 10)
    const read = piece(narrow || row.readBytes === null ? '' : `   ${formatBytes(row.readBytes)} read`, 'dim')
    const mark = `${indent}${glyph[row.status]} `
    if (row.status === 'done') return [piece(mark, 'green'), piece(label), piece(elapsed, 'dim'), read]
    if (row.status === 'running') return [piece(mark, 'cyan'), piece(label, 'bold'), piece(elapsed), read]
    if (row.status === 'pending') return [piece(`${mark}${label}`, 'dim')]
    return [piece(`${mark}${label}`, 'red'), piece(elapsed), piece(`   ${state.error?.code ?? state.status}`, 'red')]
  })
  return [headerLine(state, nowMs, look), ...lines].map(line => toText(line, look.width, look.color, glyph.ellipsis))
}

/** What is restored where, and how far the whole is. The path gives way to the numbers, and they to one another. */
function headerLine(state: RestoreState, nowMs: number, look: Look): Piece[] {
  const { dot, ellipsis, to } = glyphs(look)
  const running = state.status === 'running'
  const { restorePercent } = state.progress
  const numbers: string[] = []
  const add = (text: string) => {
    if ([...numbers, text].join(dot).length <= look.width) numbers.push(text)
  }
  if (state.chainLength > 1) add(`element ${Math.max(1, state.position)} of ${state.chainLength}`)
  if (state.attempt > 1) add(`attempt ${state.attempt}`)
  if (running && restorePercent !== null) add(`${formatPercent(restorePercent)} of all`)
  add(formatDuration((running ? nowMs : state.updatedAtMs) - state.startedAtMs))

  const right = numbers.join(dot)
  const datadir = state.plan?.datadir ?? ''
  const room = look.width - right.length - dot.length - `restore ${to} `.length
  if (datadir === '' || room < 12) {
    const line = [piece('restore', 'bold'), piece(`${dot}${right}`, 'dim')]
    return widthOf(line) <= look.width ? line : [piece(right, 'dim')]
  }
  return [
    piece(`restore ${to} `, 'dim'),
    piece(cutPathTo(datadir, room, ellipsis), 'bold'),
    piece(`${dot}${right}`, 'dim'),
  ]
}

/** A part of the live line; of those that do not fit together, the least worth is left out. */
interface Part {
  worth: number
  pieces: Piece[]
  /** Belongs to the part before it. */
  joined?: boolean
}

function liveLine(state: RestoreState, track: Track, nowMs: number, look: Look): Piece[] {
  const { progress } = state
  const step = stepOf(state.phase, state.step)
  const rate = currentRate(state, track, nowMs)
  const parts: Part[] = [
    { worth: 9, pieces: [piece(formatPercent(progress.phasePercent).padStart(6), 'bold')] },
    { worth: 6, pieces: [piece(step === null ? PHASE_LABELS[state.phase] : stepLabel(step))] },
  ]
  if (rate !== null && progress.quietSinceMs === null) parts.push({ worth: 4, pieces: [piece(formatRate(rate))] })
  parts.push(...etaParts(state, nowMs, look))
  if (progress.quietSinceMs === null && !progress.stalled) {
    const ago = formatDuration(nowMs - progress.lastProgressAtMs)
    parts.push({ worth: 3, pieces: [piece(`moved ${ago} ago`, 'dim')] })
  }

  const indent = look.width < 36 ? 0 : 1
  // Of one width whatever else there is to say, so that it stands still.
  const barWidth = look.width < 40 ? 0 : Math.min(28, Math.max(10, Math.floor(look.width / 6)))
  const room = look.width - indent - (barWidth > 0 ? barWidth + 2 : 0)
  const widthOfAll = () => parts.reduce((sum, { pieces, joined }) => sum + widthOf(pieces) + (joined ? 1 : 2), -2)
  while (parts.length > 1 && widthOfAll() > room) {
    parts.splice(parts.indexOf(parts.reduce((a, b) => (b.worth < a.worth ? b : a))), 1)
  }
  const line = [piece(' '.repeat(indent))]
  if (barWidth > 0) line.push(...barPieces(progress.phasePercent, barWidth, look), piece('  '))
  for (const [index, { pieces, joined }] of parts.entries()) {
    if (index > 0) line.push(piece(joined ? ' ' : '  '))
    line.push(...pieces)
  }
  return line
}

function etaParts({ progress: { eta } }: RestoreState, nowMs: number, look: Look): Part[] {
  if (eta === null) return []
  if (eta.atMs <= nowMs) return [{ worth: 8, pieces: [piece('ends later than expected')] }]
  const rough = (atMs: number) => formatRoughDuration(Math.max(0, atMs - nowMs))
  const [earliest, latest] = [rough(eta.earliestMs), rough(eta.latestMs)]
  const range: Part = { worth: 2, joined: true, pieces: [piece(`(${earliest}${glyphs(look).dash}${latest})`, 'dim')] }
  return [
    { worth: 8, pieces: [piece(`ends in ${rough(eta.atMs)}`, 'bold')] },
    ...(earliest === latest ? [] : [range]),
    { worth: 1, joined: true, pieces: [piece(`at ${formatClock(eta.atMs)}`, 'dim')] },
  ]
}

/** Cut, not rounded, so that a bar is full at 100 only; unknown is a line of its own kind, not an empty bar. */
function barPieces(percent: number | null, width: number, look: Look): Piece[] {
  const { full, empty, unknown } = glyphs(look)
  if (percent === null) return [piece(unknown.repeat(width), 'dim')]
  const filled = Math.floor((Math.min(100, Math.max(0, percent)) / 100) * width)
  return [piece(full.repeat(filled), 'cyan'), piece(empty.repeat(width - filled), 'dim')]
}

/** Nothing on a good night. Each line has shorter forms for narrower terminals. */
function attentionLines(state: RestoreState, track: Track, nowMs: number, look: Look): Piece[][] {
  const { progress } = state
  const activity = activityWords(progress.activity, seenRecently(track, nowMs))
  const deadlineMs = state.plan?.deadlineMs ?? null
  const lines: Piece[][] = []
  const add = (style: 'red' | 'yellow', ...forms: string[]) => {
    const indent = look.width < 36 ? '' : ' '
    const form = forms.find(text => indent.length + text.length <= look.width) ?? forms.at(-1)!
    lines.push([piece(`${indent}${form}`, style)])
  }
  if (progress.stalled) {
    const since = formatDuration(nowMs - progress.lastProgressAtMs)
    const limit = formatDuration(progress.stallThresholdMs)
    const stalled = `STALLED: no progress for ${since}`
    add(
      'red',
      `${stalled} (limit ${limit}), ${activity}`,
      `${stalled}, ${activity}`,
      stalled,
      `STALLED for ${since}`,
      `STALLED ${since}`,
    )
    const [hint, shorter, shortest] = stallHint(progress.activity)
    add('yellow', `hint: ${hint}`, hint, shorter, shortest)
  } else if (progress.quietSinceMs !== null) {
    const quiet = `quiet for ${formatDuration(nowMs - progress.quietSinceMs)}`
    add('yellow', `${quiet}, ${activity}`, `${quiet}, ${activity.replace('still ', '')}`, quiet)
  }
  if (deadlineMs !== null && (progress.eta?.atMs ?? nowMs) > deadlineMs) {
    const at = formatClock(deadlineMs)
    const late = formatRoughDuration((progress.eta?.atMs ?? nowMs) - deadlineMs)
    const words = progress.eta === null ? `the deadline ${at} has passed` : `ends ${late} after the deadline ${at}`
    add('yellow', words, `late by ${late}`)
  }
  return lines
}

const glyphs = (look: Look) => (look.unicode ? UNICODE : ASCII)
