import { resolve } from 'node:path'
import { loadStoreSettings } from '../config/load.ts'
import { defaultStateDir } from '../config/options.ts'
import { type ErrorRecord, exitCodeOf, RestoreError, toRestoreError } from '../errors.ts'
import { formatBytes, printable } from '../format.ts'
import { freeBytes } from '../process/file-system.ts'
import { findProgram } from '../process/find-program.ts'
import { accessControlNotices, openFilesLimit } from '../process/host-limits.ts'
import { availableMemory } from '../process/memory.ts'
import { findTool } from '../restore/plan/find-tool.ts'
import { checkDatadir, checkWritable } from '../restore/plan/prechecks.ts'
import { probeSource } from '../source/probe-source.ts'
import { absoluteSource, isStdin, parseSource, SOURCE_FORMS } from '../source/source-ref.ts'
import type { StoreSettings } from '../source/store-settings.ts'
import { probeEndpoint } from '../telemetry/probe.ts'
import { errorAsJson } from './report-error.ts'
import { flagsToKeys } from './restore-flags.ts'

interface CheckFlags {
  datadir?: string
  stateDir?: string
  toolPath?: string
  json?: boolean
}

/** One line of the answer. `required` says whether a restore can do without it. */
interface Finding {
  what: string
  found: string | null
  error: ErrorRecord | null
  required: boolean
}

/** `restore-agent check`. The exit code is that of the first failed requirement. */
export async function checkCommand(
  sources: readonly string[],
  flags: CheckFlags & Readonly<Record<string, unknown>>,
): Promise<number> {
  const settings = loadStoreSettings(flagsToKeys(flags), process.cwd())
  const stateDir = flags.stateDir
    ? resolve(flags.stateDir)
    : defaultStateDir({ isRoot: process.getuid?.() === 0, env: process.env })
  const datadir = flags.datadir === undefined ? null : resolve(flags.datadir)
  const findings: Finding[] = [
    ...(await toolFindings(flags.toolPath ?? null)),
    ...['zstd', 'gzip', 'lz4', 'bzip2', 'xz', 'gpg', 'openssl'].map(name => look(name, false, () => findProgram(name))),
    look('memory', true, () => {
      const { bytes, reason } = availableMemory()
      return `${formatBytes(bytes)} available (${reason})`
    }),
    look('open files', false, () => {
      const { soft, hard } = openFilesLimit()
      return `${soft}, raised to ${hard} for the tools, which open one file a table`
    }),
    look('state dir', true, () => {
      checkWritable(stateDir, 'the state dir')
      return stateDir
    }),
    ...(datadir === null
      ? []
      : [
          look('datadir', true, () => {
            const existed = checkDatadir(datadir)
            checkWritable(datadir, 'the datadir')
            return `${datadir}, ${existed ? 'empty' : 'absent'}, ${formatBytes(freeBytes(datadir))} free`
          }),
          ...accessControlNotices(datadir).map(found => ({ what: 'access', found, error: null, required: false })),
        ]),
    ...(await sourceFindings(sources, settings)),
    ...(await telemetryFindings()),
  ]
  if (flags.json)
    process.stdout.write(`${JSON.stringify({ schema: 1, type: 'check', findings: findings.map(asJson) })}\n`)
  else process.stdout.write(findings.map(line).join(''))
  const missing = findings.find(({ error, required }) => error && required)
  return missing ? exitCodeOf(missing.error!.code) : 0
}

function look(what: string, required: boolean, find: () => string): Finding {
  try {
    return { what, found: find(), error: null, required }
  } catch (thrown) {
    return { what, found: null, error: toRestoreError(thrown).record, required }
  }
}

/** One of the two tool families is enough. */
async function toolFindings(toolPath: string | null): Promise<Finding[]> {
  const findings = await Promise.all(
    (['mariadb-backup', 'xtrabackup'] as const).map(async (tool): Promise<Finding> => {
      try {
        const { planned } = await findTool({ tool, toolPath, toolPaths: [] }, null)
        return {
          what: tool,
          found: `${planned.version} (${planned.path}, ${planned.extractor})`,
          error: null,
          required: true,
        }
      } catch (thrown) {
        return { what: tool, found: null, error: toRestoreError(thrown).record, required: true }
      }
    }),
  )
  const oneIsThere = findings.some(({ found }) => found !== null)
  return findings.map(finding => ({ ...finding, required: !oneIsThere }))
}

/** Reach, rights and speed of each: one after the other, because they would slow each other down. */
async function sourceFindings(sources: readonly string[], settings: StoreSettings): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const written of sources) {
    try {
      const ref = parseSource(written)
      if (ref === null || isStdin(ref)) throw new RestoreError('usage', `SOURCE: must be ${SOURCE_FORMS}`)
      const found = await probeSource(absoluteSource(ref, process.cwd()), settings)
      findings.push({ what: 'source', found, error: null, required: true })
    } catch (thrown) {
      findings.push({ what: 'source', found: null, error: toRestoreError(thrown).record, required: true })
    }
  }
  return findings
}

async function telemetryFindings(): Promise<Finding[]> {
  const { signals, warnings } = await probeEndpoint(process.env)
  return [
    ...signals.map(({ signal, otlp, prometheus }): Finding => {
      const what = `OTLP ${signal}`
      if (!otlp) return { what, found: prometheus ? 'offered to Prometheus' : 'off', error: null, required: false }
      const where = `${otlp.endpoint} by ${otlp.protocol}`
      if (otlp.error === null)
        return { what, found: `${where}, answers in ${otlp.elapsedMs} ms`, error: null, required: false }
      const error = new RestoreError('usage', `${where}: ${otlp.error}`, {
        hint: 'a restore goes on without telemetry; check the OTEL_* variables and the backend',
      })
      return { what, found: null, error: error.record, required: false }
    }),
    ...warnings.map((text): Finding => {
      const error = new RestoreError('usage', text, {
        hint: 'a restore goes on without it; check the OTEL_* variables',
      })
      return { what: 'telemetry', found: null, error: error.record, required: false }
    }),
  ]
}

const asJson = ({ what, found, error, required }: Finding) => ({
  what,
  found,
  required,
  error: error && errorAsJson(error),
})

function line({ what, found, error, required }: Finding): string {
  const mark = error === null ? 'ok  ' : required ? 'FAIL' : 'no  '
  const text = found ?? error?.message ?? ''
  const hint = error && required ? `\n      hint: ${error.hint}` : ''
  return `${printable(`${mark}  ${what.padEnd(14)}  ${text}`)}${hint}\n`
}
