import type { RestoreFlags } from './load.ts'

/**
 * Flags as the argument parser gives them (`targetDir`) by the keys of restore.yaml (`target_dir`). What nobody typed is
 * left out: no SOURCE, and `color: true`, which is only the default of `--no-color`.
 */
export function restoreFlags(sources: readonly string[], parsed: Readonly<Record<string, unknown>>): RestoreFlags {
  const flags: Record<string, unknown> = sources.length > 0 ? { source: sources } : {}
  for (const [name, value] of Object.entries(parsed)) {
    if (name === 'config' || (name === 'color' && value === true)) continue
    const key = name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
    flags[key === 'stall_threshold' ? 'stall_thresholds' : key] = value
  }
  return flags as RestoreFlags
}
