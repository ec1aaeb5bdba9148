/**
 * The part of a URL that may be a secret: user, password and the whole query, where every cloud puts its signatures. It
 * stays in the memory of the process that read the URL; a SourceRef, and so the state, a log or a span, never holds it.
 * An agent that resumes a restore has it from its own command line or configuration.
 */
const SECRETS = new Map<string, string>()

/** The URL without its secret part; that part is kept for `secretUrl`. Null for what is no URL. */
export function publicUrl(written: string): string | null {
  if (!URL.canParse(written)) return null
  const url = new URL(written)
  url.username = ''
  url.password = ''
  url.search = ''
  url.hash = ''
  SECRETS.set(url.href, written)
  return url.href
}

/** The URL as it was written; without its secret part where this process has not read it. */
export const secretUrl = (url: string): string => SECRETS.get(url) ?? url
