import {
  formatBytes,
  formatClock,
  formatDuration,
  formatIso,
  formatPercent,
  formatRoughDuration,
} from '../../format.ts'
import type { RestoreBody } from '../../server/api-schema.ts'
import { type ChecklistRow, checklistRows } from './checklist.ts'
import { activityLabel, PHASE_LABELS, retryLabel, stallHint, stepLabel, waitLabel } from './labels.ts'
import { formatRate } from './rate.ts'
import { cutPathTo, type Piece, piece, toText, widthOf } from './text-line.ts'
import { currentRate, recentActivity, type Timeline } from './timeline.ts'

/**
 * The terminal's lines: what is restored, the phases, one progress line, and warnings if there are any. Pure. Every
 * line fits the width: the least important parts are left out first, and no line wraps.
 */
export interface Look {
  /** Columns and rows to use. */
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

/** The frame of a running restore; after its end, the one that stays on the terminal. */
export function renderFrame(body: RestoreBody, timeline: Timeline, nowMs: number, look: Look): string[] {
  const ended = body.status !== 'running'
  const checklist = renderChecklist(body, timeline, nowMs, look)
  const live = ended ? [] : [progressLine(body, timeline, nowMs, look), ...attentionLines(body, timeline, nowMs, look)]
  const below = live.map(line => toText(line, look.width, look.color, glyphs(look).ellipsis))
  const blank = ended ? [] : ['']
  const whole = [...checklist, ...blank, ...below]
  if (whole.length <= look.height) return whole
  // With too few rows the progress line is kept, and the end of the checklist.
  const room = Math.max(0, look.height - below.length)
  return [...checklist.slice(Math.max(0, checklist.length - room)), ...below].slice(-Math.max(1, look.height))
}

export function renderChecklist(body: RestoreBody, timeline: Timeline, nowMs: number, look: Look): string[] {
  const rows = checklistRows(body, timeline, nowMs)
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
    return [piece(`${mark}${label}`, 'red'), piece(elapsed), piece(`   ${body.error?.code ?? body.status}`, 'red')]
  })
  return [headerLine(body, nowMs, look), ...lines].map(line => toText(line, look.width, look.color, glyph.ellipsis))
}

/**
 * The datadir and the progress of the whole restore. Numbers go before the path, and the first of them before the rest.
 */
function headerLine(body: RestoreBody, nowMs: number, look: Look): Piece[] {
  const { dot, ellipsis, to } = glyphs(look)
  const running = body.status === 'running'
  const percent = body.progress.restore_percent
  const chainLength = body.chain_length ?? 0
  const numbers: string[] = []
  const add = (text: string) => {
    if ([...numbers, text].join(dot).length <= look.width) numbers.push(text)
  }
  if (chainLength > 1) add(`element ${body.chain_position ?? 1} of ${chainLength}`)
  if (body.attempt > 1) add(`attempt ${body.attempt}`)
  if (running && percent !== null) add(`${formatPercent(percent)} of all`)
  add(formatDuration((running ? nowMs : Date.parse(body.updated_at)) - Date.parse(body.started_at)))

  const right = numbers.join(dot)
  const datadir = body.datadir ?? ''
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

/** A part of the progress line. If not all fit, those of the lowest priority are left out. */
interface Part {
  priority: number
  pieces: Piece[]
  /** One space, not two, before it. */
  joined?: boolean
}

function progressLine(body: RestoreBody, timeline: Timeline, nowMs: number, look: Look): Piece[] {
  const { progress, phase } = body
  const { step } = progress
  const rate = currentRate(body, timeline, nowMs)
  const parts: Part[] = [
    { priority: 9, pieces: [piece(formatPercent(progress.percent).padStart(6), 'bold')] },
    { priority: 6, pieces: [piece(step === null ? PHASE_LABELS[phase] : stepLabel(step))] },
  ]
  if (rate !== null && progress.quiet_since === null) parts.push({ priority: 4, pieces: [piece(formatRate(rate))] })
  const waits = body.source_transfer && waitLabel(body.source_transfer)
  if (waits) parts.push({ priority: 5, pieces: [piece(waits, 'dim')] })
  const asOf = phase === 'applying_binlogs' ? body.recovery?.data_as_of : null
  if (asOf) parts.push({ priority: 7, pieces: [piece(`data as of ${formatIso(Date.parse(asOf))}`)] })
  parts.push(...etaParts(body, nowMs, look))
  if (progress.quiet_since === null && !progress.stalled) {
    const ago = formatDuration(nowMs - timeOf(progress.last_progress_at))
    parts.push({ priority: 3, pieces: [piece(`moved ${ago} ago`, 'dim')] })
  }

  const indent = look.width < 36 ? 0 : 1
  // Its width depends on the terminal alone, so that the bar does not jump.
  const barWidth = look.width < 40 ? 0 : Math.min(28, Math.max(10, Math.floor(look.width / 6)))
  const room = look.width - indent - (barWidth > 0 ? barWidth + 2 : 0)
  const widthOfAll = () => parts.reduce((sum, { pieces, joined }) => sum + widthOf(pieces) + (joined ? 1 : 2), -2)
  while (parts.length > 1 && widthOfAll() > room) {
    parts.splice(parts.indexOf(parts.reduce((a, b) => (b.priority < a.priority ? b : a))), 1)
  }
  const line = [piece(' '.repeat(indent))]
  if (barWidth > 0) line.push(...barPieces(progress.percent, barWidth, look), piece('  '))
  for (const [index, { pieces, joined }] of parts.entries()) {
    if (index > 0) line.push(piece(joined ? ' ' : '  '))
    line.push(...pieces)
  }
  return line
}

function etaParts({ progress: { eta, eta_earliest, eta_latest } }: RestoreBody, nowMs: number, look: Look): Part[] {
  if (eta === null) return []
  const endMs = Date.parse(eta)
  if (endMs <= nowMs) return [{ priority: 8, pieces: [piece('ends later than expected')] }]
  const rough = (atMs: number) => formatRoughDuration(Math.max(0, atMs - nowMs))
  const [earliest, latest] = [rough(Date.parse(eta_earliest ?? eta)), rough(Date.parse(eta_latest ?? eta))]
  const range: Part = {
    priority: 2,
    joined: true,
    pieces: [piece(`(${earliest}${glyphs(look).dash}${latest})`, 'dim')],
  }
  return [
    { priority: 8, pieces: [piece(`ends in ${rough(endMs)}`, 'bold')] },
    ...(earliest === latest ? [] : [range]),
    { priority: 1, joined: true, pieces: [piece(`at ${formatClock(endMs)}`, 'dim')] },
  ]
}

/** Rounded down, so that only 100 % fills the bar. Unknown has a glyph of its own: an empty bar would mean 0 %. */
function barPieces(percent: number | null, width: number, look: Look): Piece[] {
  const { full, empty, unknown } = glyphs(look)
  if (percent === null) return [piece(unknown.repeat(width), 'dim')]
  const filled = Math.floor((Math.min(100, Math.max(0, percent)) / 100) * width)
  return [piece(full.repeat(filled), 'cyan'), piece(empty.repeat(width - filled), 'dim')]
}

/** Warnings: a stall, a quiet tool, a missed deadline. Each has shorter forms for narrow terminals. */
function attentionLines(body: RestoreBody, timeline: Timeline, nowMs: number, look: Look): Piece[][] {
  const { progress } = body
  const activity = activityLabel(progress.activity, recentActivity(timeline, nowMs))
  const deadlineMs = progress.deadline === null ? null : Date.parse(progress.deadline)
  const endMs = progress.eta === null ? nowMs : Date.parse(progress.eta)
  const lines: Piece[][] = []
  const add = (style: 'red' | 'yellow', ...forms: string[]) => {
    const indent = look.width < 36 ? '' : ' '
    const form = forms.find(text => indent.length + text.length <= look.width) ?? forms.at(-1)!
    lines.push([piece(`${indent}${form}`, style)])
  }
  if (progress.stalled) {
    const since = formatDuration(nowMs - timeOf(progress.last_progress_at))
    const limit = formatDuration(progress.stall_threshold_seconds * 1000)
    const stalled = `STALLED: no progress for ${since}`
    add(
      'red',
      `${stalled} (limit ${limit}), ${activity}`,
      `${stalled}, ${activity}`,
      stalled,
      `STALLED for ${since}`,
      `STALLED ${since}`,
    )
    const [hint, shorter, shortest] = stallHint(body)
    add('yellow', `hint: ${hint}`, hint, shorter, shortest)
  } else if (progress.quiet_since !== null) {
    const quiet = `quiet for ${formatDuration(nowMs - Date.parse(progress.quiet_since))}`
    add('yellow', `${quiet}, ${activity}`, `${quiet}, ${activity.replace('still ', '')}`, quiet)
  }
  const retrying = body.source_transfer?.retrying
  if (retrying) add('yellow', `source: ${retryLabel(retrying)}`, retryLabel(retrying))
  if (deadlineMs !== null && endMs > deadlineMs) {
    const at = formatClock(deadlineMs)
    const late = formatRoughDuration(endMs - deadlineMs)
    const words = progress.eta === null ? `the deadline ${at} has passed` : `ends ${late} after the deadline ${at}`
    add('yellow', words, `late by ${late}`)
  }
  return lines
}

/** -Infinity for a time that is not known. */
export const timeOf = (time: string | null): number => (time === null ? Number.NEGATIVE_INFINITY : Date.parse(time))

const glyphs = (look: Look) => (look.unicode ? UNICODE : ASCII)
