/** A program and its arguments, as data: `--dry-run` prints it. No secret is ever among the arguments. */
export interface Command {
  /** A path, or a name to be found in PATH. */
  file: string
  args: readonly string[]
}
