import type { ErrorCode } from '../errors.ts'

/**
 * Lines in which a tool names a fault of this machine: its disk, memory, limits, rights, libraries, keys. They are no
 * evidence against the backup, and what the tool says of its data afterwards may follow from them. The texts are those
 * of the C library, the dynamic loader, the shell, mysys, InnoDB and the key management plugins.
 */
const TEXTS: readonly (readonly [RegExp, ErrorCode])[] = [
  [/No space left on device|Disk quota exceeded|disk is not full or a disk quota exceeded/i, 'disk_full'],
  [/while loading shared libraries|Exec format error|Illegal instruction|cannot execute\b/, 'tool_broken'],
  [/Read-only file system/, 'read_only'],
  [/Too many open files/, 'open_files'],
  [/File too large|File size limit exceeded/, 'file_size_limit'],
  [/annot allocate memory|[Oo]ut of memory|Cannot map innodb_buffer_pool|annot allocate .*buffer pool/, 'memory'],
  [/encryption key|master key|key_version|key management|keyring|Can't open shared library/i, 'key_missing'],
  [/Input\/output error/, 'io_error'],
  [/File ?name too long/, 'path_too_long'],
  [/Permission denied|Operation not permitted/, 'not_permitted'],
]

/** Numbers of errno(3), as in `Errcode: 28`, `OS errno 5`, `Operating system error number 24`. */
const ERRNO = /\b(?:errno|errcode|error number):? ?(\d+)\b/i
const CODES: Readonly<Record<number, ErrorCode>> = {
  1: 'not_permitted',
  5: 'io_error',
  12: 'memory',
  13: 'not_permitted',
  23: 'open_files',
  24: 'open_files',
  27: 'file_size_limit',
  28: 'disk_full',
  30: 'read_only',
  36: 'path_too_long',
  122: 'disk_full',
}

/** The fault of this machine in a line; null if it names none. */
export function environmentFault(text: string): ErrorCode | null {
  const errno = ERRNO.exec(text)?.[1]
  const code = errno === undefined ? undefined : CODES[Number(errno)]
  return code ?? TEXTS.find(([wording]) => wording.test(text))?.[1] ?? null
}

const FAULTS: ReadonlySet<ErrorCode> = new Set([...TEXTS.map(([, code]) => code), ...Object.values(CODES)])

/** Whether a code means a fault of this machine and not of the data. */
export const isEnvironmentFault = (code: ErrorCode): boolean => FAULTS.has(code)
