import { z } from 'zod'
import { placeRefSchema } from '../source-ref.ts'
import type { StoreSettings } from '../store-settings.ts'

/** What proves that two replies are of the same bytes. */
export const pinSchema = z.object({
  /** A strong entity tag, quotes included. */
  etag: z.string().nullable(),
  /** As the server writes it; null where it may have changed within the second in which it was asked for. */
  lastModified: z.string().nullable(),
  /** Null where the server does not say. */
  size: z.number().nullable(),
})

/** How an object is asked for. It may hold a secret. */
export const accessSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('http'), url: z.string() }),
  z.object({
    kind: z.literal('s3'),
    bucket: z.string(),
    /** Empty where only the bucket is listed. */
    key: z.string(),
    versionId: z.string().nullable(),
    /** Null for AWS. */
    endpoint: z.string().nullable(),
    region: z.string().nullable(),
    pathStyle: z.boolean(),
    requesterPays: z.boolean(),
    /** The customer's key of SSE-C in base64. */
    sseKey: z.string().nullable(),
  }),
  /** A file of a local directory that holds many backups. */
  z.object({ kind: z.literal('file'), path: z.string() }),
  /** Many objects, which the transfer process lists again: their list, hashed, must be `identity`. */
  z.object({
    kind: z.literal('backup'),
    place: placeRefSchema,
    layout: z.string(),
    id: z.string(),
    identity: z.string(),
    settings: z.custom<StoreSettings>(),
  }),
])
export type Access = z.output<typeof accessSchema>
/** Access to a server that answers ranges of bytes by HTTP. */
export type HttpAccess = Exclude<Access, { kind: 'file' | 'backup' }>
export type BackupAccess = Extract<Access, { kind: 'backup' }>
export type S3Access = Extract<Access, { kind: 's3' }>

export const CHECKSUM_ALGORITHMS = ['crc32', 'crc32c', 'crc64nvme', 'md5', 'sha1', 'sha256', 'sha512'] as const
export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number]

/** What the store says of all bytes of an object (checksum.ts). */
const expectedChecksum = z.object({
  algorithm: z.enum(CHECKSUM_ALGORITHMS),
  /** Base64. */
  value: z.string(),
})
export type ExpectedChecksum = z.output<typeof expectedChecksum>

/**
 * What the transfer process is asked to do. It comes through its standard input, because it may hold a signed URL:
 * arguments and files can be read by others.
 */
export const jobSchema = z.object({
  /** For people: without a secret. */
  name: z.string(),
  access: accessSchema,
  pin: pinSchema,
  ranged: z.boolean(),
  /** Null where the store has none. */
  checksum: expectedChecksum.nullable(),
  /** Written anew several times a second: a `TransferProgress`. */
  progressPath: z.string(),
  /** Bytes a second; null without a limit. */
  maxBandwidth: z.number().positive().nullable(),
  /** In ms; null for the default. */
  idleMs: z.number().positive().nullable(),
  patienceMs: z.number().positive().nullable(),
})

export type TransferJob = z.output<typeof jobSchema>
