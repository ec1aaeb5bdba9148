import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatTarget } from '../binlog/target.ts'
import type { RestoreOptions } from '../config/options.ts'
import { formatBytes, printable } from '../format.ts'
import { abortable } from '../process/abortable.ts'
import { type BinlogLook, binlogLines, lookAtBinlogs } from '../restore/plan/binlogs.ts'
import { makePlan } from '../restore/plan/build-plan.ts'
import { withChosenBackup } from '../restore/plan/choose-backup.ts'
import { closeAll, preparePlan } from '../restore/plan/inputs.ts'
import type { Plan, PlanStep } from '../restore/plan/plan.ts'
import { checkWritable } from '../restore/plan/prechecks.ts'
import { isRemote, isStdin, nameOfSource } from '../source/source-ref.ts'
import type { Command } from '../tool/command.ts'
import { untilSignal } from './signals.ts'

/** Checks everything and prints the plan; creates only a scratch directory, which is removed. */
export async function dryRun(options: RestoreOptions): Promise<number> {
  checkWritable(options.stateDir, 'the state dir')
  const scratch = mkdtempSync(join(tmpdir(), 'restore-agent-'))
  try {
    const { parts, sources, notices } = await untilSignal(signal =>
      abortable(signal, () => withChosenBackup(options, null).then(chosen => preparePlan(chosen, 'ID', scratch))),
    )
    await closeAll(sources)
    const look = options.binlogs === null ? null : await untilSignal(signal => lookAtBinlogs(parts, signal))
    const plan = makePlan({ ...parts, binlogs: look?.plan ?? null })
    const all = [...notices, ...(look?.notices ?? [])]
    // What the binlogs tell before the backup's position is known is no plan yet.
    const seen = look && look.plan === null ? { binlogs: seenOf(look) } : {}
    if (options.json)
      process.stdout.write(`${JSON.stringify({ schema: 1, type: 'plan', plan, ...seen, notices: all })}\n`)
    else
      process.stdout.write(
        planLines(plan, all, look)
          .map(line => `${printable(line)}\n`)
          .join(''),
      )
    return 0
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

const seenOf = ({ scan, target }: BinlogLook) => ({
  target: formatTarget(target),
  files: scan.files.map(({ name, bytes, groups }) => ({ name, bytes, transactions: groups })),
  stop: scan.stop,
})

function planLines(plan: Plan, notices: readonly string[], look: BinlogLook | null): string[] {
  const { tool, memory } = plan
  return [
    `tool     ${tool.family} ${tool.version} (${tool.path})`,
    ...(memory ? [`memory   ${formatBytes(memory.bytes)}: ${memory.reason}`] : []),
    ...(plan.runAs && plan.owner ? [`run as   ${plan.owner.name}`] : []),
    `datadir  ${plan.datadir}`,
    `target   ${plan.targetDir}`,
    ...(look ? binlogLines(look) : []),
    ...notices.map(text => `note     ${text}`),
    '',
    ...plan.steps.map((step, index) => `${String(index + 1).padStart(2)}. ${describeStep(plan, step)}`),
  ]
}

function describeStep(plan: Plan, step: PlanStep): string {
  switch (step.kind) {
    case 'extract':
      return `${step.stages.map(shell).join(' | ')} < ${input(plan, step.element)}`
    case 'verify':
      return `check that ${plan.datadir} is whole`
    case 'ownership':
      return `give ${plan.datadir} to ${plan.owner?.name}`
    default:
      return shell(step.command)
  }
}

/** Quoted for a shell. */
export const shell = ({ file, args }: Command): string => [file, ...args].map(quoted).join(' ')

const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)

const input = ({ elements }: Plan, position: number): string => {
  const { source } = elements[position - 1]!
  if (isRemote(source)) return `<(restore-agent transfer ${quoted(nameOfSource(source))})`
  return isStdin(source) ? '/dev/stdin' : quoted(nameOfSource(source))
}
