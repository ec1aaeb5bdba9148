import type { BinlogPosition } from '../../backup/binlog-info.ts'
import { formatDuration, printable } from '../../format.ts'
import type { Plan } from '../../restore/plan/plan.ts'
import type { RestoreState } from '../../restore/state/state.ts'
import type { Outcome } from '../view.ts'
import type { Track } from './track.ts'
import { PHASE_LABELS } from './words.ts'

/** What a person needs after a restore that succeeded: nothing otherwise, the error report follows then. */
export function summaryLines(state: RestoreState, track: Track, outcome: Outcome | undefined, color = false): string[] {
  if (state.status !== 'succeeded' || state.plan === null) return []
  const bold = (text: string) => (color ? `\x1b[1m${text}\x1b[0m` : text)
  const binlog = outcome?.binlog ?? state.plan.elements.at(-1)?.description.binlog ?? null
  const elapsed = formatDuration(state.updatedAtMs - state.startedAtMs)
  const line = (name: string, value: string) => `  ${name.padEnd(8)}  ${printable(value)}`
  return [
    '',
    bold(`restored ${printable(state.plan.datadir)} in ${elapsed}`),
    ...(state.backupIndex > 0 ? [line('backup', `${backupOf(state.plan)}, an older one`)] : []),
    line(
      'phases',
      phaseDurations(track)
        .map(({ name, ms }) => `${name} ${formatDuration(ms)}`)
        .join(', '),
    ),
    ...(binlog === null ? [] : binlogLines(binlog).map(([name, value]) => line(name, value))),
    ...(outcome === undefined ? [] : [line('run dir', outcome.runDir)]),
    line('trace', state.trace.traceId),
  ]
}

const backupOf = ({ elements }: Plan): string => elements.map(({ name }) => name).join(' ')

function binlogLines({ file, position, gtid }: BinlogPosition): [string, string][] {
  const lines: [string, string][] = []
  if (file !== null) lines.push(['binlog', position === null ? file : `${file} position ${position}`])
  if (gtid !== null && gtid !== '') lines.push(['gtid', gtid])
  return lines
}

/** Summed over the elements of a chain, in the order in which the phases first came. */
function phaseDurations(track: Track): { name: string; ms: number }[] {
  const sums = new Map<string, number>()
  for (const { phase, startedAtMs, endedAtMs } of track.phases) {
    const name = PHASE_LABELS[phase]
    sums.set(name, (sums.get(name) ?? 0) + (endedAtMs ?? startedAtMs) - startedAtMs)
  }
  return [...sums].map(([name, ms]) => ({ name, ms }))
}
