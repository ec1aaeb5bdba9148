import { readFileSync } from 'node:fs'
import { getAsset, isSea } from 'node:sea'

/** The text of `--licenses`: in the single file, the licences of everything that is in it. */
export function licences(): string {
  if (isSea()) return getAsset('licences.txt', 'utf8')
  const own = readFileSync(new URL('../../LICENSE', import.meta.url), 'utf8')
  return `${own}\nThe packages that npm installed with restore-agent have their licences in their own folders.\n`
}
