/** A program and its arguments, as data: `--dry-run` prints it. No secret is ever among the arguments. */
export interface Command {
  /** A path, or a name to be found in PATH. */
  file: string
  args: readonly string[]
  /** Its name in states, files and errors, if that is not the name of its file. */
  name?: string
  /** Variables of the agent's environment that it needs besides those that every tool inherits. */
  inherits?: readonly string[]
  /**
   * The user that the command runs as, where it is not the agent's own, and the directories it needs to own for that.
   */
  runAs?: { uid: number; gid: number; directories: readonly string[] } | undefined
}
