import { metadataRole, splitFileName } from '../backup/file-name.ts'
import { detectFormat, type OuterFormat } from '../backup/formats.ts'
import { type Filters, filterHead } from './filter.ts'

const LIMIT_BYTES = 1 << 20

/**
 * The text of metadata files that xtrabackup may have compressed one by one. What cannot be unpacked here is left out:
 * quicklz, xbcrypt (its key is for the tool), and any other packing whose command is not installed.
 */
export async function unpackMetadata(
  files: ReadonlyMap<string, Buffer>,
  filters: Filters,
): Promise<Map<string, string>> {
  const texts = new Map<string, string>()
  for (const [path, bytes] of files) {
    const { base, compression, encrypted } = splitFileName(path)
    if (metadataRole(path) === null || encrypted) continue
    const format = compression && detectFormat(bytes)
    if (compression === null) texts.set(base, bytes.toString())
    else if (format === 'zstd' || format === 'lz4') await unpack(texts, base, bytes, format, filters)
  }
  return texts
}

async function unpack(
  texts: Map<string, string>,
  base: string,
  bytes: Buffer,
  format: OuterFormat,
  filters: Filters,
): Promise<void> {
  const { output } = await filterHead(filters(format, null), bytes, LIMIT_BYTES)
  if (output.length > 0) texts.set(base, output.toString())
}
