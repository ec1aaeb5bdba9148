/** Writes docs/errors.md from the table in src/errors.ts. A test compares the two. */
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ERRORS, type ErrorCode } from '../src/errors.ts'
import { endOfRedoIn, judgeCapture } from './judge-capture.ts'

export function errorsDoc(): string {
  const rows = Object.entries(ERRORS)
    .sort(([, a], [, b]) => a.exit - b.exit)
    .map(
      ([code, { exit, backup, hint }]) =>
        `| ${exit} | \`${code}\` | ${backup ? '`failed_basebackup`' : '`failed`'} | ${hint} |`,
    )
  return `# Errors

Every failure has a code (also \`error.type\` in telemetry), an exit code and a hint. On stderr:

\`\`\`
error CODE: what, where
  the tool's last lines, indented
hint: what to do
\`\`\`

With \`--json\` stdout has the same as one object.

The phase tells what to do. \`failed_basebackup\` is positive evidence that this backup is damaged or incomplete: use
another one (with \`older_backups\` restore-agent does). \`failed\` is no evidence against the backup: correct what the
error names and restore again. Whatever is not recognised as damage ends in \`failed\`.

| exit | code | phase | hint |
|---|---|---|---|
${rows.join('\n')}

## What the tools said, and the code

Each line below is from a real run of Percona XtraBackup 2.4.20 that failed, or that ended with 0 all the same.

| tool | exit | its own words | code |
|---|---|---|---|
${realLines().join('\n')}

Where a tool ends with 0 and says nothing, the files tell: a stream without data is \`source_empty\`, a target dir
without the backup's metadata \`backup_incomplete\`, a move-back of files that were not prepared \`not_prepared\`.
`
}

const CAPTURES = join(import.meta.dirname, '../test/fixtures/transcripts/xtrabackup-2.4/errors')

/** One row for each distinct line and code. */
function realLines(): string[] {
  // The backups whose redo was cut or overwritten are the one that was prepared whole here.
  const whole = endOfRedoIn(judgeCapture(join(CAPTURES, 'inc-base-ok')).events, true)
  const found = readdirSync(CAPTURES).flatMap(name => {
    const isDamaged = name === 'prepare-truncated-redo' || name === 'prepare-corrupt-redo'
    const { exit, verdict } = judgeCapture(join(CAPTURES, name), isDamaged ? whole : null)
    if (verdict === null) return []
    const [, tool = 'xtrabackup', words] = /^(?:(xtrabackup|xbstream): )?(.*)$/.exec(verdict.message)!
    return [{ exit, tool, words: words!, code: verdict.code }]
  })
  const order = (code: ErrorCode) => ERRORS[code].exit
  const rows = found
    .sort((a, b) => order(a.code) - order(b.code))
    .map(({ exit, tool, words, code }) => `| ${tool} | ${exit} | ${words.replaceAll('|', '\\|')} | \`${code}\` |`)
  return [...new Set(rows)]
}

if (process.argv[1] === import.meta.filename) writeFileSync(join(import.meta.dirname, '../docs/errors.md'), errorsDoc())
