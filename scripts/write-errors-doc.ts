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
`
}

if (process.argv[1] === import.meta.filename) writeFileSync(join(import.meta.dirname, '../docs/errors.md'), errorsDoc())
