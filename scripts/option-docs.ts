import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { OPTIONS, type OptionRow } from '../src/config/options.ts'

/** The table of options in docs/configuration.md, made from src/config/options.ts. Run this file to write it again. */
export const DOC = join(import.meta.dirname, '../docs/configuration.md')

/** The text of the page with the table as it should be. */
export function withTable(page: string): string {
  const rows = Object.values(OPTIONS).filter(({ help }) => help !== '')
  const table = ['| flag | key | default | |', '|---|---|---|---|', ...rows.map(rowOf)].join('\n')
  return page.replace(/\| flag \| key \|[\s\S]*?\n(?=\n)/, `${table}\n`)
}

function rowOf({ key, flag, help, doc = {} }: OptionRow): string {
  const shown = flag ?? (key === 'source' ? 'SOURCE…' : null)
  const text = [help, doc.text].filter(Boolean).join('. ')
  return `| ${shown === null ? '' : `\`${shown}\``} | \`${key}\` | ${doc.default ?? ''} | ${text} |`
}

if (process.argv[1] === import.meta.filename) writeFileSync(DOC, withTable(readFileSync(DOC, 'utf8')))
