import { ENCRYPTED, type OuterFormat } from '../backup/formats.ts'
import { ERRORS, type ErrorCode } from '../errors.ts'
import { filterFailures, refusesKey, saysEarlyEnd } from '../tool/filter-grammar.ts'

/**
 * Why a filter that ended with a complaint gave too little. What is wrong around the backup comes first: a key that
 * cannot be read, a cipher that does not exist or a memory limit must not make a good backup give way to an older one.
 * Only what is left is said of its bytes; that their format is unknown is not believed, for their first bytes have told
 * it.
 */
export function filterFailure(format: OuterFormat, stderr: string): { code: ErrorCode; hint?: string } {
  const failure = filterFailures(stderr).find(({ code }) => code !== 'source_unknown' && !ERRORS[code].backup)
  if (failure !== undefined) {
    const hint = HINTS[failure.code]
    return { code: failure.code, ...(hint !== undefined && { hint }) }
  }
  if (ENCRYPTED.has(format) && refusesKey(stderr)) return { code: 'wrong_key' }
  return { code: saysEarlyEnd(stderr) ? 'source_truncated' : 'source_corrupt' }
}

const HINTS: Partial<Record<ErrorCode, string>> = {
  config_invalid: 'correct --openssl-cipher (openssl_cipher in the configuration): openssl enc -list names them all',
  key_missing: 'check that --decrypt-key-file names a file with the key in its first line, which this user may read',
  memory: 'free memory, or raise the limit that the program has: XZ_DEFAULTS and XZ_OPT, ulimit, its cgroup',
}
