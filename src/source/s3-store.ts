import type { Dispatcher } from 'undici'
import { RestoreError } from '../errors.ts'
import { type ObjectStore, pinOf, type StoredObject } from './object-store.ts'
import { readSmall, untilAnswered } from './remote.ts'
import { s3Access } from './s3.ts'
import { nameOfSource, type RefOf } from './source-ref.ts'
import type { StoreSettings } from './store-settings.ts'
import { openDispatcher } from './transfer/access.ts'
import { ALL, requestRange } from './transfer/http-object.ts'
import type { S3Access } from './transfer/job.ts'
import { readObject } from './transfer/read-object.ts'
import { s3Request } from './transfer/s3-request.ts'
import { TransientError } from './transfer/transient-error.ts'

const CONNECTIONS = 32
const LIST_MS = 30_000
/** A page of 1000 keys of 1 KiB, each percent-encoded, and what is around them. */
const MOST_PAGE_BYTES = 8 << 20

/** A bucket, or what lies below a prefix of it. Nothing is asked for before the first method is called. */
export async function openS3Store(ref: RefOf<'s3'>, settings: StoreSettings): Promise<ObjectStore> {
  const prefix = ref.key === '' || ref.key.endsWith('/') ? ref.key : `${ref.key}/`
  const place = await s3Access({ ...ref, key: '' }, settings)
  const dispatcher = await openDispatcher(CONNECTIONS)
  const name = nameOfSource({ ...ref, key: prefix })
  const accessOf = async (key: string): Promise<S3Access> => ({
    ...(await s3Access({ ...ref, key: prefix + key }, settings)),
    region: place.region, // as learned
  })
  return {
    name,
    list: (below = '') => listObjects(name, place, dispatcher, prefix, below),
    async read(key, range = ALL) {
      const what = `${name}${key}`
      if (!isKey(key)) throw new RestoreError('source_missing', `${name} holds no object ${JSON.stringify(key)}`)
      return readSmall(s3Request(what, await accessOf(key), dispatcher), range)
    },
    async *stream(object, { signal, windows = 1, stats } = {}) {
      const options = { range: ALL, pin: pinOf(object), ranged: true, windows, signal }
      if (object.bytes > 0)
        yield* readObject(`${name}${object.key}`, await accessOf(object.key), options, dispatcher, stats)
    },
    access: accessOf,
    async close() {
      await dispatcher.destroy()
    },
  }
}

/** Keys come from files that others wrote: none leads out of the prefix where a URL would be made shorter. */
const isKey = (key: string): boolean =>
  key !== '' &&
  !key.startsWith('/') &&
  !key.includes('\0') &&
  !key.split('/').some(part => part === '.' || part === '..')

async function* listObjects(
  name: string,
  place: S3Access,
  dispatcher: Dispatcher,
  prefix: string,
  below: string,
): AsyncGenerator<StoredObject, void, undefined> {
  let token: string | null = null
  do {
    const page: ListPage = await listPage(name, place, dispatcher, prefix + below, token)
    // A folder that a console made is an empty object with a / at its end.
    for (const object of page.objects)
      if (object.key.startsWith(prefix) && !object.key.endsWith('/'))
        yield { ...object, key: object.key.slice(prefix.length) }
    if (page.next !== null && page.next === token)
      throw new RestoreError('source_unreadable', `${name}: the store lists the same page again and again`)
    token = page.next
  } while (token !== null)
}

interface ListPage {
  objects: StoredObject[]
  /** Null: this is the last page; empty: the store says that there is one, and not how to ask for it. */
  next: string | null
}

const listPage = (name: string, place: S3Access, dispatcher: Dispatcher, prefix: string, token: string | null) =>
  untilAnswered(name, async (): Promise<ListPage> => {
    const query = {
      'list-type': '2',
      'encoding-type': 'url',
      prefix,
      ...(token !== null && { 'continuation-token': token }),
    }
    const list = s3Request(name, place, dispatcher, query)
    const { body } = await requestRange(list, null, null, AbortSignal.timeout(LIST_MS))
    let xml = ''
    body.setEncoding('utf8')
    for await (const piece of body) {
      xml += piece
      if (xml.length > MOST_PAGE_BYTES) throw new RestoreError('source_unreadable', `${name}: the list is too long`)
    }
    if (!xml.includes('</ListBucketResult>'))
      throw new TransientError('short', `${name}: the list of objects broke off, or is none`)
    const page = readPage(xml)
    if (page.next === '')
      throw new RestoreError('source_unreadable', `${name}: the store lists no further than it says`)
    return page
  })

const COLD = new Set(['GLACIER', 'DEEP_ARCHIVE'])

/**
 * A reply to ListObjectsV2. Its form is flat: no element that is read here holds another one with the same name. Owner
 * elements are not asked for. Exported for tests.
 */
export function readPage(xml: string): ListPage {
  const isUrl = textIn(xml.replace(/<Contents>[\s\S]*<\/Contents>/, ''), 'EncodingType') === 'url'
  const objects = [...xml.matchAll(/<Contents>([\s\S]*?)<\/Contents>/g)].map(([, inner]): StoredObject => {
    const key = textIn(inner!, 'Key') ?? ''
    const etag = textIn(inner!, 'ETag')?.replaceAll('"', '')
    const modifiedMs = Date.parse(textIn(inner!, 'LastModified') ?? '')
    return {
      key: isUrl ? decodeURIComponent(key.replaceAll('+', ' ')) : key,
      bytes: Number(textIn(inner!, 'Size')),
      etag: etag ? `"${etag}"` : null,
      modifiedMs: Number.isFinite(modifiedMs) ? modifiedMs : null,
      cold: COLD.has(textIn(inner!, 'StorageClass') ?? '') && !/<IsRestoreInProgress>false/.test(inner!),
    }
  })
  const isTruncated = textIn(xml, 'IsTruncated') === 'true'
  return { objects, next: isTruncated ? (textIn(xml, 'NextContinuationToken') ?? '') : null }
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function textIn(xml: string, element: string): string | null {
  const found = new RegExp(`<${element}>([^<]*)</${element}>`).exec(xml)
  if (found === null) return null
  return found[1]!.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (all, decimal, hex, name) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal))
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16))
    return ENTITIES[name] ?? all
  })
}
