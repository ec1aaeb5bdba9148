/**
 * Every program runs in English, whatever the user's language: its messages tell a full disk from a damaged backup.
 * Only messages change: file names and data are bytes to a tool.
 */
const TOOL_LOCALE = { LC_ALL: 'C', LANGUAGE: '' } as const

/**
 * What a tool inherits from the agent's environment. Everything else stays with the agent: tokens and passwords, and
 * what would change a tool's configuration, such as MYSQL_HOME.
 */
const INHERITED: ReadonlySet<string> = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'TERM',
  'TZ',
  'TZDIR',
  'LD_LIBRARY_PATH',
  'LD_PRELOAD',
  'XZ_DEFAULTS',
  'XZ_OPT',
  'OPENSSL_CONF',
  'OPENSSL_MODULES',
])
/** Memory allocators; and the stand-ins for tools, with which tests and demonstrations replay recorded runs. */
const PREFIXES = /^(?:MALLOC_|GLIBC_TUNABLES$|REPLAY_)/

/** The whole environment of a tool; `added` wins over what is inherited. */
export function toolEnv(
  added: Readonly<Record<string, string | undefined>> = {},
  env: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  const inherited = Object.entries(env).filter(([name]) => INHERITED.has(name) || PREFIXES.test(name))
  return { ...Object.fromEntries(inherited), ...added, ...TOOL_LOCALE }
}
