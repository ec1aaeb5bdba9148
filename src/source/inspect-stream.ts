import { unpairedProblem } from '../backup/delta-pairs.ts'
import type { OuterFormat } from '../backup/formats.ts'
import { gzipContentBytes, zstdContentBytes } from '../backup/frame-size.ts'
import { missingMetadata, parseMetadata } from '../backup/metadata.ts'
import { createStreamScan } from '../backup/stream-scan.ts'
import type { StreamContents } from '../backup/stream-tally.ts'
import { readStreamHead } from '../backup/xbstream-head.ts'
import { RestoreError } from '../errors.ts'
import { type DecodeStage, decodeStream } from './decode.ts'
import { copyThroughFilter } from './filter-process.ts'
import { type Findings, type InspectOptions, problemIn } from './findings.ts'
import { type Peeled, peelLayers } from './layers.ts'
import type { StreamSource } from './source.ts'
import { unpackMetadata } from './unpack-metadata.ts'

/**
 * Three ways to look at a stream, by what it allows: hop over the chunks of a bare one in a file, decode and scan the
 * whole when `full` is asked for, or go by the head.
 */
export async function inspectStream(source: StreamSource, options: InspectOptions): Promise<Findings> {
  const peeled = await peelLayers(source, options)
  const { layers, head, problem } = peeled
  const base: Findings = { layers, storedBytes: source.storedBytes }
  if (problem) return { ...base, problem }
  if (options.full) return { ...base, ...(await scanAll(source, layers, options)) }
  if (source.file && layers.length === 0) return { ...base, ...(await inspectWhole(source, options)) }
  const { names, unsafe, metadata } = readStreamHead(head)
  if (unsafe !== null)
    return { ...base, names, problem: new RestoreError('source_corrupt', `${source.name}: ${unsafe}`) }
  if (source.known === undefined) return { ...base, names, payloadBytes: await unpackedBytes(source, peeled) }
  // A place can give the metadata files first.
  const found: Findings = { ...base, names, ...source.known }
  const unreadable = await problemIn(async () => {
    Object.assign(found, parseMetadata(await unpackMetadata(metadata, options.filters), source.name))
  })
  return { ...found, problem: unreadable }
}

async function inspectWhole(source: StreamSource, options: InspectOptions): Promise<Findings> {
  const { contents, problem } = await copyThroughFilter(source.file!, {
    name: source.name,
    storedBytes: source.storedBytes!,
    onProgress: options.onProgress,
    signal: options.signal,
  })
  return fromContents(source, contents, problem, options)
}

async function scanAll(
  source: StreamSource,
  layers: readonly OuterFormat[],
  { filters, keyFile, onProgress, signal, ...rest }: InspectOptions,
): Promise<Findings> {
  const scan = createStreamScan(source.name)
  const stages = layers.map((format): DecodeStage => ({ format, command: filters(format, keyFile) }))
  let decodedBytes = 0
  const problem = await problemIn(async () => {
    await decodeStream(
      source,
      stages,
      piece => {
        scan.push(piece)
        decodedBytes += piece.length
        // Of a packed stream the bytes that went in are not known here.
        if (layers.length === 0) onProgress?.(decodedBytes)
      },
      signal,
    )
    scan.end()
  })
  return fromContents(source, scan.result(), problem, { filters, keyFile, ...rest })
}

async function fromContents(
  source: StreamSource,
  { names, files, payloadBytes, metadata, unpaired }: StreamContents,
  streamProblem: RestoreError | null,
  { filters }: InspectOptions,
): Promise<Findings> {
  const found: Findings = { names, files, complete: true }
  let problem = streamProblem ?? unpairedProblem(unpaired, source.name) ?? missingMetadata(metadata.keys(), source.name)
  const unreadable = await problemIn(async () => {
    Object.assign(found, parseMetadata(await unpackMetadata(metadata, filters), source.name))
  })
  problem ??= unreadable
  // Of a stream that was not read to its end the sum would say too little.
  return { ...found, payloadBytes: streamProblem ? null : payloadBytes, problem }
}

/** How large the stream is unpacked, where its one layer says so; a few bytes a chunk more than the files in it. */
async function unpackedBytes(source: StreamSource, { layers }: Peeled): Promise<number | null> {
  if (layers.length !== 1 || source.storedBytes === null) return null
  if (layers[0] === 'zstd') return zstdContentBytes(await source.peek(64), source.storedBytes)
  if (layers[0] !== 'gzip' || !source.file || source.storedBytes < 4) return null
  const tail = Buffer.alloc(4)
  await source.file.readAt(tail, source.storedBytes - tail.length)
  return gzipContentBytes(tail, source.storedBytes)
}
