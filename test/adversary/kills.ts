import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, inject, test } from 'vitest'
import type { ErrorCode } from '../../src/errors.ts'
import { ERRORS } from '../../src/errors.ts'
import { mountTmpfs } from '../integration/workspace.ts'
import type { Moment, Victim } from '../kill/agent.ts'
import type { TruthName } from '../kill/datadir.ts'
import { extracted, OUTSIDE_KEPT, outsideTables } from '../kill/outside-tables.ts'
import { type Ended, expectNothingLeft, expectRestored, type Place, place, type Request } from '../kill/restore-dirs.ts'
import { randomFrom } from './random.ts'

/**
 * Kills at random moments. Each restore ends with the data of its backup, or with an error that is right for it.
 * `KILLS` says how many, `SEED` repeats them.
 */
const KILLS = Number(process.env.KILLS ?? 10)

type Random = ReturnType<typeof randomFrom>

interface Scenario {
  truth: TruthName
  /** About how long it takes undisturbed, in milliseconds: the kills come within that time. */
  lastsMs: number
  request(at: Place, random: Random): Request | Promise<Request>
  /** When the kill comes; by default at any time of the restore. */
  moment?(random: Random): Moment
  /** What it may end in besides success. */
  errors?: readonly ErrorCode[]
  /** What the request itself puts into the folder. */
  kept?: readonly string[]
}

const elements = () => inject('chain').elements

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'a full backup': { truth: 'full', lastsMs: 2500, request: () => ({ sources: [elements()[0]!.zst] }) },
  'a full backup with a start check': {
    lastsMs: 4500,
    truth: 'full',
    request: () => ({ sources: [elements()[0]!.zst], flags: { start_check: true, owner: 'nobody:nogroup' } }),
  },
  'a chain': { truth: 'chain', lastsMs: 6000, request: () => ({ sources: elements().map(({ zst }) => zst) }) },
  'a chain of bare streams without prefetch': {
    lastsMs: 6000,
    truth: 'chain',
    request: () => ({ sources: elements().map(({ bare }) => bare), flags: { prefetch: 'off' } }),
  },
  'a directory': {
    truth: 'full',
    lastsMs: 2500,
    request: async at => ({ sources: [await extracted(at)] }),
    kept: ['source'],
  },
  'a directory in place': {
    lastsMs: 2500,
    truth: 'full',
    request: async at => ({ sources: [await extracted(at)], flags: { in_place: true } }),
    errors: ['not_prepared', 'tool_killed', 'interrupted'],
    kept: ['source'],
  },
  'tables with DATA DIRECTORY, killed in move-back': {
    truth: 'full',
    lastsMs: 2500,
    request: outsideTables,
    moment: random => ({ event: 'tool_started', detail: '1-move_back', afterMs: Math.floor(120 * random.next()) }),
    kept: OUTSIDE_KEPT,
  },
  'a disk that is nearly too small': {
    lastsMs: 3000,
    truth: 'full',
    async request(at, random) {
      const small = join(at.dir, 'small')
      await mountTmpfs(small, (150 + 200 * random.next()) * 1024 ** 2)
      return { sources: [elements()[0]!.zst], flags: { target_dir: join(small, 'target') } }
    },
    errors: ['disk_full'],
    kept: ['small'],
  },
}

const VICTIMS: readonly (readonly Victim[])[] = [
  ['agent'],
  ['agent'],
  ['tools', 'agent'],
  ['groups', 'agent'],
  ['wrappers', 'agent'],
  ['power'],
  ['tools'],
]

/** Every other kill, so that two files can share them. */
export function randomKills(part: 0 | 1): void {
  const seed = inject('seed')
  const numbers = Array.from({ length: KILLS }, (_, index) => index + 1).filter(number => number % 2 === part)
  test.for(numbers)(`kill %i of ${KILLS}, SEED=${seed}`, async number => {
    const random = randomFrom(seed + number)
    const [name, scenario] = random.of(Object.entries(SCENARIOS))
    const kills = random.of(VICTIMS)
    const at = place()
    const request = await scenario.request(at, random)
    const afterMs = Math.floor(random.next() * scenario.lastsMs)
    const moment = scenario.moment?.(random) ?? { event: 'restore_started', afterMs }
    const first = await at.start(request, { at: moment, kills }).ended
    const ended = first.signal !== 'SIGKILL' ? first : (endOf(at, first) ?? (await at.start(request).ended))
    console.log(
      `${number}: ${name}; ${kills.join(' and ')} at ${JSON.stringify(moment)}: ${outcome(first)}, then ${outcome(ended)}`,
    )
    await expectRight(at, ended, scenario)
  })
}

/** How it had ended, where the kill came after its end: the same command would be another restore. */
function endOf(at: Place, killed: Ended): Ended | null {
  if (!existsSync(join(at.stateDir, 'state.json'))) return null
  const { status, error } = at.state()
  if (status === 'running') return null
  return {
    ...killed,
    signal: null,
    code: error === null ? 0 : ERRORS[error.code].exit,
    stderr: `error ${error?.code}:`,
  }
}

const outcome = ({ code, signal, stderr }: Ended) => signal ?? /^error (\w+):/m.exec(stderr)?.[1] ?? `exit code ${code}`

async function expectRight(at: Place, ended: Ended, { truth, errors = [], kept = [] }: Scenario): Promise<void> {
  if (ended.code === 0) return expectRestored(at, ended, truth, kept)
  expect(errors, ended.stderr).toContain(outcome(ended))
  expectNothingLeft(at, kept)
}
