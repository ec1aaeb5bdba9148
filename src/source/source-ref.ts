import { join, resolve } from 'node:path'
import { z } from 'zod'
import { publicUrl } from './url-secrets.ts'

const s3Schema = z.object({
  kind: z.literal('s3'),
  bucket: z.string(),
  /** As it is stored, not percent-encoded. Empty, or with a / at its end: a place that holds many objects. */
  key: z.string(),
  versionId: z.string().nullable(),
})
/** What can hold many backups. */
const PLACES = [
  z.object({ kind: z.literal('path'), path: z.string() }),
  z.object({ kind: z.literal('directory'), path: z.string() }),
  s3Schema,
] as const
export const placeRefSchema = z.discriminatedUnion('kind', PLACES)
export type PlaceRef = z.output<typeof placeRefSchema>

/**
 * Where a backup comes from, as data. An argument or a configuration's value is parsed into a SourceRef once, at the
 * edge; options, plan and state.json carry it, and `openSource` opens it. A `path` is not looked at yet: opening it
 * tells whether it is a `file` or a `directory`. In every kind that has a `path`, that is an absolute path on this
 * host.
 *
 * A new kind of source is: a schema and a name here, its row in `open-source.ts`, and a file of its own that opens it.
 */
export const sourceRefSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('stdin') }),
  ...PLACES,
  z.object({ kind: z.literal('file'), path: z.string() }),
  /** A backup of which a place holds the bytes in many objects, or the key beside them. */
  z.object({ kind: z.literal('backup'), place: placeRefSchema, layout: z.string(), id: z.string() }),
  z.object({
    kind: z.literal('url'),
    /** `http:` or `https:`, without user, password and query: those may be secret (url-secrets.ts). */
    url: z.string(),
  }),
])

export type SourceRef = z.output<typeof sourceRefSchema>
export type RefOf<K extends SourceRef['kind']> = Extract<SourceRef, { kind: K }>

const NAMES: { readonly [K in SourceRef['kind']]: (ref: RefOf<K>) => string } = {
  stdin: () => '-',
  path: ({ path }) => path,
  file: ({ path }) => path,
  directory: ({ path }) => path,
  backup: ({ place, id }) => nameWithin(place, id),
  url: ({ url }) => url,
  s3: ({ bucket, key, versionId }) => `s3://${bucket}/${key}${versionId === null ? '' : `?versionId=${versionId}`}`,
}

const nameWithin = (place: PlaceRef, key: string): string => `${nameOfSource(place).replace(/\/$/, '')}/${key}`

/**
 * What a person calls the source and could write to mean it; refs with the same name are the same source. No secret is
 * in it.
 */
export const nameOfSource = (ref: SourceRef): string => (NAMES[ref.kind] as (ref: SourceRef) => string)(ref)

export const isSameSource = (a: SourceRef, b: SourceRef): boolean => nameOfSource(a) === nameOfSource(b)

/** Whether two chains have the same elements in the same order. */
export const isSameChain = (a: readonly SourceRef[], b: readonly SourceRef[]): boolean =>
  a.length === b.length && a.every((source, index) => isSameSource(source, b[index]!))

export const isStdin = ({ kind }: SourceRef): boolean => kind === 'stdin'

/** Its bytes come through a transfer process: from a server, or from many objects. */
export const isRemote = ({ kind }: SourceRef): boolean => ['url', 's3', 'backup'].includes(kind)

/** Null where the source cannot hold many backups. */
export const placeOf = (ref: SourceRef): PlaceRef | null => placeRefSchema.safeParse(ref).data ?? null

/** One object of a place as a source of its own. */
export const objectOf = (place: PlaceRef, key: string): SourceRef =>
  place.kind === 's3'
    ? { ...place, key: place.key.replace(/(?<!\/|^)$/, '/') + key }
    : { kind: 'file', path: join(place.path, key) }

/** Whether the source is an object or a backup of the place. */
export const isWithin = (ref: SourceRef, place: PlaceRef): boolean =>
  nameOfSource(ref).startsWith(nameWithin(place, ''))

/** The source's path on this host; null where it has none. */
export const localPathOf = (ref: SourceRef): string | null => ('path' in ref ? ref.path : null)

/** A key is taken as it is written, as the AWS command line does: `?` and `#` are part of it. */
const S3_URL = /^s3:\/\/([A-Za-z0-9][A-Za-z0-9._-]{0,254})(?:\/(.*?)(?:\?versionId=([A-Za-z0-9._~-]+))?)?$/s
const URL_SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i

/** The source that a person wrote; its path is as written, for `absoluteSource`. Null for what is no source. */
export function parseSource(written: string): SourceRef | null {
  if (written === '-') return { kind: 'stdin' }
  if (/^https?:\/\//i.test(written)) {
    const url = publicUrl(written)
    return url === null ? null : { kind: 'url', url }
  }
  const s3 = S3_URL.exec(written)
  if (s3 !== null) return { kind: 's3', bucket: s3[1]!, key: s3[2] ?? '', versionId: s3[3] ?? null }
  return URL_SCHEME.test(written) ? null : { kind: 'path', path: written }
}

/** What `parseSource` reads, for messages. */
export const SOURCE_FORMS = 'a path, an http, https or s3 URL, or - for standard input'

/** The same source with a relative path made absolute from `folder`. */
export const absoluteSource = (ref: SourceRef, folder: string): SourceRef =>
  'path' in ref ? { ...ref, path: resolve(folder, ref.path) } : ref
