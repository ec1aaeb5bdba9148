import type { z } from 'zod'
import { STALL_THRESHOLD_NAMES } from './forms.ts'
import { RESTORE_KEYS, type RestoreSettings, restoreSchema } from './options.ts'
import { suggest } from './suggest.ts'

/** What is wrong at one place of a document, by its path from the root; `onKey` where the key itself is at fault. */
export interface Finding {
  path: readonly (string | number)[]
  onKey: boolean
  message: string
}

/** Most problems reported for one document. */
export const MOST_PROBLEMS = 50

export type Checked = { settings: RestoreSettings; findings: null } | { settings: null; findings: readonly Finding[] }

/**
 * Checks plain data, from YAML or from flags, against the schema: either the settings or all that is wrong with them.
 */
export function check(data: unknown): Checked {
  const result = restoreSchema.safeParse(data)
  if (result.success) return { settings: result.data, findings: null }
  return { settings: null, findings: findingsOf(result.error, (key, path) => unknownKey(key, path.length === 0)) }
}

/**
 * All that a schema found, an unknown key in the words of `unknown`, which gets the path of the mapping it stands in.
 */
export function findingsOf(
  error: z.ZodError,
  unknown: (key: string, path: readonly (string | number)[]) => string,
): Finding[] {
  return error.issues.flatMap((issue): Finding[] => {
    const path = issue.path.map(part => (typeof part === 'symbol' ? String(part) : part))
    if (issue.code !== 'unrecognized_keys') return [{ path, onKey: false, message: issue.message }]
    return issue.keys.map((key, index) => ({
      path: [...path, key],
      onKey: true,
      // Searching for a similar word is slow, and only the first problems are reported.
      message: index < MOST_PROBLEMS ? unknown(key, path) : 'unknown key',
    }))
  })
}

function unknownKey(key: string, atTop: boolean): string {
  const near = suggest(key, atTop ? RESTORE_KEYS : STALL_THRESHOLD_NAMES)
  return `${atTop ? 'unknown key' : 'is no step or phase'}${near === null ? '' : ` (did you mean ${near}?)`}`
}
