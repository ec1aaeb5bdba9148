import { loadStoreSettings } from '../config/load.ts'
import { RestoreError } from '../errors.ts'
import { formatBytes, formatIso, printable } from '../format.ts'
import type { StoredBackup } from '../layout/layout.ts'
import { abortable } from '../process/abortable.ts'
import { type Place, readPlace } from '../source/place.ts'
import { absoluteSource, parseSource } from '../source/source-ref.ts'
import { flagsToKeys } from './restore-flags.ts'
import { untilSignal } from './signals.ts'

interface ListFlags {
  layout?: string
  json?: boolean
}

/** `restore-agent list`: what backups a place holds, and which of them can be restored. */
export async function listCommand(
  written: string,
  flags: ListFlags & Readonly<Record<string, unknown>>,
): Promise<number> {
  const ref = parseSource(written)
  if (ref === null) throw new RestoreError('usage', 'PLACE: must be a directory or the URL of a store')
  const settings = loadStoreSettings(flagsToKeys(flags), process.cwd())
  const place = await untilSignal(signal =>
    abortable(signal, () => readPlace(absoluteSource(ref, process.cwd()), flags.layout ?? null, settings, signal)),
  )
  if (flags.json) process.stdout.write(`${JSON.stringify(asJson(place))}\n`)
  else for (const line of placeLines(place)) process.stdout.write(`${printable(line)}\n`)
  return 0
}

/** The stable form for programs; null is unknown. */
const asJson = ({ name, layout, backups }: Place) => ({
  schema: 1,
  type: 'place',
  name,
  layout,
  backups: backups.map(backup => ({
    name: backup.id,
    time: backup.timeMs === null ? null : formatIso(backup.timeMs),
    kind: backup.kind,
    base: backup.baseId,
    from_lsn: backup.fromLsn,
    to_lsn: backup.toLsn,
    stored_bytes: backup.storedBytes,
    extracted_bytes: backup.extractedBytes,
    files: backup.files,
    complete: backup.complete,
    problem: backup.problem,
    keys: backup.keys,
    note: backup.note,
  })),
})

/** A table with each incremental below its base. */
export function placeLines({ name, layout, backups }: Place): string[] {
  const rows = [['NAME', 'TIME', 'KIND', 'STORED', 'STATE'], ...treeRows(backups)]
  const widths = [0, 1, 2, 3].map(column => Math.max(...rows.map(row => [...row[column]!].length)))
  const pad = (text: string, column: number) =>
    column === 3 ? text.padStart(widths[column]!) : text.padEnd(widths[column] ?? 0)
  const count = `${backups.length} ${backups.length === 1 ? 'backup' : 'backups'}`
  return [`${name}: ${count}, layout ${layout}`, ...rows.map(row => row.map(pad).join('  ').trimEnd())]
}

function treeRows(backups: readonly StoredBackup[]): string[][] {
  const ids = new Set(backups.map(({ id }) => id))
  const children = new Map<string | null, StoredBackup[]>()
  for (const backup of backups) {
    const parent =
      backup.baseId !== null && ids.has(backup.baseId) && backup.baseId !== backup.id ? backup.baseId : null
    children.set(parent, [...(children.get(parent) ?? []), backup])
  }
  const rows: string[][] = []
  const shown = new Set<string>()
  const show = (backup: StoredBackup, indent: string, branch: string) => {
    shown.add(backup.id)
    rows.push([`${indent}${branch}${backup.id}`, ...columnsOf(backup)])
    const below = children.get(backup.id) ?? []
    const next = branch === '' ? indent : `${indent}${branch === '├─ ' ? '│  ' : '   '}`
    for (const [index, child] of below.entries())
      if (!shown.has(child.id)) show(child, next, index === below.length - 1 ? '└─ ' : '├─ ')
  }
  for (const backup of children.get(null) ?? []) show(backup, '', '')
  // Of bases that go round in a circle none is at the top.
  for (const backup of backups) if (!shown.has(backup.id)) show(backup, '', '')
  return rows
}

function columnsOf({ timeMs, kind, storedBytes, complete, problem, keys, note }: StoredBackup): string[] {
  const state = problem?.message ?? (complete === null ? 'not known before it is read' : 'complete')
  const needs = keys.length > 0 ? `needs ${keys.join(' and ')}` : null
  return [
    timeMs === null ? '--' : formatIso(timeMs),
    kind ?? '--',
    formatBytes(storedBytes),
    [state, needs, note].filter(part => part !== null).join('; '),
  ]
}
