/**
 * Takes secrets out of what leaves the agent: values of options that name a secret, a URL's userinfo and its whole
 * query (every cloud's signature is there, and each names it differently). Rather too much than too little is removed.
 * Names of key files stay: a path is no secret.
 */
const HIDDEN = '***'

const SECRET_NAME =
  '[\\w.-]*(?:password|passwd|passphrase|secret|token|credentials?|(?:encrypt|encryption|decrypt|access|account|api|private)[-_]?key)'
const VALUE = `(?:"[^"]*"|'[^']*'|[^\\s"',;]+)`

const SECRET_OPTION = new RegExp(`^-{1,2}${SECRET_NAME}$`, 'i')
const SECRET_ASSIGNMENT = new RegExp(`^(-{0,2}${SECRET_NAME}=).*$`, 'is')
/** openssl's -pass, -passin, -k, -K and -iv take the next argument; `-k file` of other tools is hidden too. */
const OPENSSL_OPTION = /^-(?:pass|passin|passout|k|K|iv)$/

/** Each starts at a word's first character or ends where its next match could start, so the cost is linear. */
const IN_TEXT: readonly (readonly [RegExp, string])[] = [
  // A password may hold an unescaped slash, so a path with a port before it and an @ in it goes too.
  [/(:\/\/)[^\s/:?#'"]*(?::(?:(?!:\/\/)[^\s'"])*)?@/g, `$1${HIDDEN}@`],
  [/(:\/\/(?:(?!:\/\/)[^\s?'"])*)\?[^\s'"]*/g, `$1?${HIDDEN}`],
  [/(\bpass:)\S+/g, `$1${HIDDEN}`],
  [new RegExp(`(\\b(?:proxy-)?authorization\\s*[:=]\\s*)(?:(?:bearer|basic)\\s+)?${VALUE}`, 'gi'), `$1${HIDDEN}`],
  [new RegExp(`((?<![\\w.-])${SECRET_NAME}\\s*=\\s*)${VALUE}`, 'gi'), `$1${HIDDEN}`],
  // SQL that a server prints: the first string after IDENTIFIED, and PASSWORD('…'). Hashes of passwords go too.
  [/(\bidentified\s+(?:by|via|with|as)\b[^'"]*)(?:'(?:[^'\\]|\\.|'')*'?|"(?:[^"\\]|\\.|"")*"?)/gi, `$1${HIDDEN}`],
  [/(\bpassword\s*\(\s*)(?:'(?:[^'\\]|\\.|'')*'?|"(?:[^"\\]|\\.|"")*"?)/gi, `$1${HIDDEN}`],
  [new RegExp(`((?<![\\w.-])--?${SECRET_NAME}\\s+)(?!-)${VALUE}`, 'gi'), `$1${HIDDEN}`],
]

/** Replaces every recognisable secret in a text by `***`. */
export const scrubText = (text: string): string =>
  IN_TEXT.reduce((scrubbed, [pattern, replacement]) => scrubbed.replace(pattern, replacement), text)

/** A command's arguments with the secrets removed; as many as were given. */
export const scrubArguments = (args: readonly string[]): string[] =>
  args.map((arg, index) => {
    const before = args[index - 1]
    if (before !== undefined && (SECRET_OPTION.test(before) || OPENSSL_OPTION.test(before))) return HIDDEN
    const assignment = SECRET_ASSIGNMENT.exec(arg)
    if (assignment) return assignment[1] + HIDDEN
    // mysql's -pSECRET
    if (/^-p./.test(arg) && !OPENSSL_OPTION.test(arg)) return `-p${HIDDEN}`
    return scrubText(arg)
  })
