/** Writes docs/errors.md from the table in src/errors.ts. A test compares the two. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ERRORS } from '../src/errors.ts'

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
  the tool's last words, indented
hint: what to do
\`\`\`

With \`--json\` the same stands in one object on stdout. The phase says whose fault it is: after \`failed_basebackup\` an older
backup may still be restored, after \`failed\` the environment has to be mended first.

| exit | code | phase | hint |
|---|---|---|---|
${rows.join('\n')}
`
}

if (process.argv[1] === import.meta.filename) writeFileSync(join(import.meta.dirname, '../docs/errors.md'), errorsDoc())
