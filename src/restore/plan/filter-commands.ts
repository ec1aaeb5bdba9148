import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { OuterFormat } from '../../backup/formats.ts'
import type { RestoreOptions } from '../../config/options.ts'
import type { Filters } from '../../source/filter.ts'
import { decompressStage, gpgStage, opensslStage } from '../../tool/filters.ts'

/** The commands that take off the layers around a stream. `scratchDir` is ours; gpg gets a home of its own in it. */
export function filterCommands({ opensslCipher }: Pick<RestoreOptions, 'opensslCipher'>, scratchDir: string): Filters {
  return (format, keyFile) => {
    if (format === 'openssl') return opensslStage({ keyFile: keyFile ?? '', cipher: opensslCipher })
    if (format !== 'gpg') return decompressStage(format as Exclude<OuterFormat, 'xbstream' | 'gpg' | 'openssl'>)
    const homedir = join(scratchDir, 'gnupg')
    mkdirSync(homedir, { recursive: true, mode: 0o700 })
    return gpgStage({ keyFile: keyFile ?? '', homedir })
  }
}
