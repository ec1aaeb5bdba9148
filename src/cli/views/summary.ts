import { formatDuration, formatIso, printable } from '../../format.ts'
import type { RestoreBody } from '../../server/api-schema.ts'
import { PHASE_LABELS } from './labels.ts'
import type { Timeline } from './timeline.ts'

/** The lines after a restore that succeeded; none otherwise, because an error report follows. */
export function summaryLines(body: RestoreBody, { phases }: Timeline, color = false): string[] {
  const { elements, datadir, binlog, recovery } = body
  if (body.status !== 'succeeded' || datadir === null) return []
  const heading = `restored ${printable(datadir)} in ${formatDuration(
    Date.parse(body.updated_at) - Date.parse(body.started_at),
  )}`
  const rows: [name: string, value: string | null][] = [
    ['backup', body.older_backup ? `${elements?.map(({ source }) => source).join(' ')}, an older one` : null],
    ['phases', phaseDurations(phases) || null],
    ...recoveryRows(body),
    [
      'binlog',
      recovery
        ? null
        : binlog?.file
          ? binlog.file + (binlog.position === null ? '' : ` position ${binlog.position}`)
          : null,
    ],
    ['gtid', (recovery ? recovery.gtid : binlog?.gtid) || null],
    ['replica', body.replica_info],
    ['galera', body.galera_info],
    ['attach', body.attach_replica],
    ['partial', body.partial ? "yes: only some of the server's databases or tables" : null],
    ['checksum', checksumText(body.elements ?? [])],
    ['run dir', body.run_dir],
    ['trace', body.trace_id],
  ]
  return [
    '',
    color ? `\x1b[1m${heading}\x1b[0m` : heading,
    ...rows.flatMap(([name, value]) => (value === null ? [] : [`  ${name.padEnd(8)}  ${printable(value)}`])),
  ]
}

function recoveryRows({ recovery }: RestoreBody): [name: string, value: string | null][] {
  if (recovery === null) return []
  const { transactions, binlogs_total: files, data_as_of: asOf, left_out_from: leftOut } = recovery
  return [
    ['data', asOf === null ? 'as of the backup' : `as of ${formatIso(Date.parse(asOf))}`],
    ['binlogs', `${transactions} transactions of ${files} files, to ${recovery.target}`],
    ['left out', leftOut === null ? null : `what was committed from ${formatIso(Date.parse(leftOut))} on`],
  ]
}

type Elements = NonNullable<RestoreBody['elements']>

const CHECKSUMS: Readonly<Record<NonNullable<Elements[number]['checksum']>, string>> = {
  verified: 'verified: the bytes have the checksum that the store keeps',
  none: 'not verified: the store has none',
  partial: 'verified in part: the store has none of some objects',
  unknown: 'not verified: it could not be computed',
}

/** Of a chain, what is known of each element; null where no element has a store. */
function checksumText(elements: Elements): string | null {
  const texts = elements.flatMap(({ name, checksum }) =>
    checksum === null ? [] : [{ name, text: CHECKSUMS[checksum] }],
  )
  if (texts.length === 0) return null
  const [first] = texts
  if (texts.length === elements.length && texts.every(({ text }) => text === first!.text)) return first!.text
  return texts.map(({ name, text }) => `${name} ${text}`).join('; ')
}

/** Summed over the elements of a chain, in the order in which the phases first came. */
function phaseDurations(phases: Timeline['phases']): string {
  const sums = new Map<string, number>()
  for (const { phase, startedAtMs, endedAtMs } of phases) {
    const name = PHASE_LABELS[phase]
    sums.set(name, (sums.get(name) ?? 0) + (endedAtMs ?? startedAtMs) - startedAtMs)
  }
  return [...sums].map(([name, ms]) => `${name} ${formatDuration(ms)}`).join(', ')
}
