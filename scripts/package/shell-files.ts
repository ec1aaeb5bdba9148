/**
 * The man page and the completions of bash, zsh and fish. All of it comes from the commands as `--help` shows them, and
 * those of `restore` come from the table of options.
 */
import type { Command, Option } from 'commander'
import * as flags from '../../src/cli/restore-flags.ts'
import { buildProgram } from '../../src/cli/run-cli.ts'
import { VERSION } from './artefacts.ts'

interface Shown {
  name: string
  description: string
  options: readonly Option[]
  usage: string
}

const program = buildProgram(flags, () => {})
const help = program.createHelp()
const show = (command: Command): Shown => ({
  name: command.name(),
  description: command.description(),
  options: help.visibleOptions(command),
  usage: command.usage(),
})
const COMMANDS = help
  .visibleCommands(program)
  .filter(command => command.name() !== 'help')
  .map(show)
const GENERAL = show(program)

/** Options whose argument is a path. */
const isPath = ({ flags }: Option): boolean => /<(file|dir|path|config)/i.test(flags)
const long = ({ long: name }: Option): string => name!

/** By the path of the file in a Linux package. */
export const shellFiles = (): Record<string, string> => ({
  'usr/share/bash-completion/completions/restore-agent': bash(),
  'usr/share/zsh/vendor-completions/_restore-agent': zsh(),
  'usr/share/fish/vendor_completions.d/restore-agent.fish': fish(),
  'usr/share/man/man1/restore-agent.1': man(),
})

function bash(): string {
  const words = (options: readonly Option[]) => options.map(long).join(' ')
  return `# bash completion of restore-agent
_restore_agent() {
  local current=\${COMP_WORDS[COMP_CWORD]} command=\${COMP_WORDS[1]} words=
  case $command in
${COMMANDS.map(({ name, options }) => `    ${name}) words='${words(options)}' ;;`).join('\n')}
    *) words='${COMMANDS.map(({ name }) => name).join(' ')} ${words(GENERAL.options)}' ;;
  esac
  [ "$COMP_CWORD" -gt 1 ] || words='${COMMANDS.map(({ name }) => name).join(' ')} ${words(GENERAL.options)}'
  case $current in
    -*) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current") ;;
    *)
      if [ "$COMP_CWORD" -gt 1 ]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
      else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
      fi
      ;;
  esac
}
complete -F _restore_agent restore-agent
`
}

function zsh(): string {
  const quote = (text: string) => text.replaceAll("'", "'\\''").replaceAll(/[[\]:]/g, '\\$&')
  const spec = (option: Option) =>
    `'${long(option)}[${quote(option.description)}]${takesValue(option) ? `:value:${isPath(option) ? '_files' : ''}` : ''}'`
  return `#compdef restore-agent
_restore_agent() {
  if (( CURRENT == 2 )); then
    local -a commands=(
${COMMANDS.map(({ name, description }) => `      '${name}:${quote(description)}'`).join('\n')}
    )
    _describe command commands
    _arguments ${GENERAL.options.map(spec).join(' ')}
    return
  fi
  case $words[2] in
${COMMANDS.map(({ name, options }) => `    ${name}) _arguments ${options.map(spec).join(' ')} '*:source:_files' ;;`).join('\n')}
  esac
}
_restore_agent "$@"
`
}

function fish(): string {
  const quote = (text: string) => text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")
  const row = (when: string, option: Option) =>
    `complete -c restore-agent -n '${when}' -l ${long(option).slice(2)}${takesValue(option) ? ' -r' : ''} -d '${quote(option.description)}'`
  return [
    '# fish completion of restore-agent',
    ...COMMANDS.map(
      ({ name, description }) =>
        `complete -c restore-agent -n __fish_use_subcommand -f -a ${name} -d '${quote(description)}'`,
    ),
    ...GENERAL.options.map(option => row('__fish_use_subcommand', option)),
    ...COMMANDS.flatMap(({ name, options }) =>
      options.map(option => row(`__fish_seen_subcommand_from ${name}`, option)),
    ),
    '',
  ].join('\n')
}

const takesValue = ({ required, optional }: Option): boolean => required || optional

function man(): string {
  const text = (words: string) => words.replaceAll('\\', '\\e').replaceAll('-', '\\-').replace(/^[.']/gm, '\\&$&')
  const options = (list: readonly Option[]) =>
    list.map(({ flags, description }) => `.TP\n.B ${text(flags)}\n${text(description)}`).join('\n')
  return `.TH RESTORE\\-AGENT 1 "" "restore\\-agent ${VERSION}" "User Commands"
.SH NAME
restore\\-agent \\- restore physical MySQL and MariaDB backups, with progress
.SH SYNOPSIS
${COMMANDS.map(({ name, usage }) => `.B restore\\-agent ${name}\n${text(usage)}\n.br`).join('\n')}
.SH DESCRIPTION
${text(GENERAL.description)}
.SH OPTIONS
${options(GENERAL.options)}
${COMMANDS.map(({ name, description, options: own }) => `.SH RESTORE\\-AGENT ${name.toUpperCase()}\n${text(description)}\n${options(own)}`).join('\n')}
.SH FILES
.TP
.I /etc/restore\\-agent/serve.yaml
configuration of the daemon
.TP
.I /var/lib/restore\\-agent
state of restores, when root runs them
.SH EXIT STATUS
0 where the restore succeeded; each error has its own number, which docs/errors.md lists.
.SH SEE ALSO
.BR mariadb\\-backup (1)
`
}
