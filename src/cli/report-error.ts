import { type ErrorRecord, exitCodeOf } from '../errors.ts'
import { printable } from '../format.ts'

export interface ReportStreams {
  stdout: { write(text: string): unknown }
  stderr: { write(text: string): unknown }
}

/**
 * Reports an error: on stderr `error CODE: what, where`, the tool's last lines indented, `hint: …`; with `json` the
 * same as one object on stdout.
 */
export function reportError(
  error: ErrorRecord,
  { stdout, stderr }: ReportStreams,
  { json = false, color = false } = {},
): void {
  if (json) stdout.write(`${JSON.stringify({ schema: 1, type: 'error', error: errorAsJson(error) })}\n`)
  else
    stderr.write(
      errorLines(error, color)
        .map(line => `${line}\n`)
        .join(''),
    )
}

/** The stable form of an error in every JSON output. */
export const errorAsJson = (error: ErrorRecord) => ({
  code: error.code,
  message: error.message,
  last_words: error.lastWords,
  hint: error.hint,
  exit_code: exitCodeOf(error.code),
})

export function errorLines(error: ErrorRecord, color = false): string[] {
  const paint = (sgr: number, text: string) => (color ? `\x1b[${sgr}m${text}\x1b[0m` : text)
  return [
    `${paint(31, `error ${error.code}:`)} ${printable(error.message)}`,
    ...error.lastWords
      .map(asOverprinted)
      .filter(line => line !== '')
      .map(line => paint(2, `  ${printable(line)}`)),
    `${paint(1, 'hint:')} ${printable(error.hint)}`,
  ]
}

/**
 * What a terminal would finally show of a line that the tool has overwritten with CR, as progress meters do, or ended
 * with CR LF.
 */
const asOverprinted = (line: string): string => line.trimEnd().split('\r').at(-1)!
