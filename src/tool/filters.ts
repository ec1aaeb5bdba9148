import type { Command } from './command.ts'

/** Commands between the source and the stream extractor. All of them read stdin and write stdout. */

export const COMPRESSIONS = ['zstd', 'gzip', 'lz4', 'bzip2', 'xz', 'lzma'] as const
export type Compression = (typeof COMPRESSIONS)[number]

/** `--long=31`: a stream made with a long window needs it, an ordinary one loses nothing by it. */
export function decompressStage(compression: Compression): Command {
  if (compression === 'lzma') return { file: 'xz', args: ['--format=lzma', '-dc'] }
  return { file: compression, args: compression === 'zstd' ? ['-dc', '--long=31'] : ['-dc'] }
}

/**
 * gpg, symmetric. The passphrase is the first line of `keyFile`. `homedir` is a private empty directory of mode 0700,
 * so that no keyring and no gpg.conf of the user is touched; without an agent nothing outlives the command, and
 * decrypting with a passphrase file needs none (tried with 2.2).
 */
export function gpgStage({ keyFile, homedir }: { keyFile: string; homedir: string }): Command {
  return {
    file: 'gpg',
    args: [
      '--homedir',
      homedir,
      '--batch',
      '--quiet',
      '--no-tty',
      '--no-autostart',
      '--pinentry-mode',
      'loopback',
      '--passphrase-file',
      keyFile,
      '-d',
    ],
  }
}

/**
 * `openssl enc` with a password (the first line of `keyFile`) and PBKDF2. `cipher` without dash, as in `aes-256-cbc`.
 */
export function opensslStage({ keyFile, cipher }: { keyFile: string; cipher: string }): Command {
  return { file: 'openssl', args: ['enc', '-d', `-${cipher}`, '-pbkdf2', '-pass', `file:${keyFile}`] }
}
