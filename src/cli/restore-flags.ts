import { Option } from 'commander'
import type { RestoreFlags } from '../config/load.ts'
import { OPTIONS } from '../config/options.ts'

const FLAG_ROWS = Object.values(OPTIONS).filter(({ flag }) => flag !== null)

/** The flags of `restore`, from the table of options. */
export const restoreFlags = (): Option[] => flagsOf(FLAG_ROWS)

/** The flags that say how a store is reached, for every command that takes a SOURCE. */
export const storeFlags = (): Option[] => flagsOf(FLAG_ROWS.filter(({ key }) => key.startsWith('s3_')))

const flagsOf = (rows: typeof FLAG_ROWS): Option[] =>
  rows.map(({ key, flag, help }) => {
    const made = new Option(flag!, help)
    const isRepeated = key === 'stall_thresholds' || key === 'tool_paths'
    return isRepeated ? made.argParser((value: string, before: string[] = []) => [...before, value]) : made
  })

/** Flags by commander's names, to the keys of restore.yaml. */
export function flagsToKeys(flags: Readonly<Record<string, unknown>>): RestoreFlags {
  const given = FLAG_ROWS.map(({ key, flag }) => [key, flags[new Option(flag!).attributeName()]] as const)
  // For --no-color, commander gives true where the flag is absent.
  return Object.fromEntries(given.filter(([key, value]) => value !== undefined && !(key === 'color' && value === true)))
}
