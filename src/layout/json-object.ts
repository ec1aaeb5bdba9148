import type { z } from 'zod'
import type { MetadataObjects } from './layout.ts'

/** A small JSON object that is parsed: its value, or why there is none. */
export type JsonObject<T> = { value: T; problem: null } | { value: null; problem: string }

/** What a metadata object says, by its schema. Whoever could write to the place could write it: it is not trusted. */
export function readJson<T>(metadata: MetadataObjects, key: string, schema: z.ZodType<T>): JsonObject<T> {
  const bytes = metadata.get(key)
  if (bytes === undefined) return { value: null, problem: `there is no ${key}` }
  try {
    const parsed = schema.safeParse(JSON.parse(bytes.toString()))
    if (parsed.success) return { value: parsed.data, problem: null }
    const [issue] = parsed.error.issues
    return { value: null, problem: `${key}: ${issue!.path.join('.') || 'the whole'} is not as it should be` }
  } catch {
    return { value: null, problem: `${key} is not JSON` }
  }
}

/** Unix ms of an ISO time; null for what is none. Old versions of MyHoard write a Z behind the offset. */
export function isoTime(text: string | null | undefined): number | null {
  const timeMs = Date.parse((text ?? '').replace(/([+-]\d\d:\d\d)Z$/, '$1'))
  return Number.isNaN(timeMs) ? null : timeMs
}
