import { describe, expect, inject, test } from 'vitest'
import type { Crash, Moment, Victim } from './agent.ts'
import type { TruthName } from './datadir.ts'
import { type JournalLine, times } from './journal.ts'
import { type Ended, expectRestored, type Place, place, type Request } from './restore-dirs.ts'

/** A step that runs a tool, and a moment in it. */
export interface Where {
  name: string
  at: Moment
  request: (at: Place) => Request | Promise<Request>
  truth: TruthName
  /** What the request made in the restore's folder, and stays there. */
  kept?: readonly string[]
  /** What the journal must show besides a good end. */
  expect?: (kills: readonly Victim[], journal: readonly JournalLine[], at: Place) => void
  /** A case that cannot end well, and how it ends; true where it was one. */
  refused?: (kills: readonly Victim[], ended: Ended, at: Place) => boolean
}

export const full = (): Request => ({ sources: [inject('chain').elements[0]!.zst] })
export const chain = (): Request => ({ sources: inject('chain').elements.map(({ bare }) => bare) })
export const started = (detail: string, afterMs: number, nth = 1): Moment => ({
  event: 'tool_started',
  detail,
  afterMs,
  nth,
})

const VICTIMS: readonly (readonly Victim[])[] = [
  ['agent'],
  ['tools', 'agent'],
  ['wrappers', 'agent'],
  ['groups', 'agent'],
  ['stop', 'agent'],
  ['power'],
  ['tools'],
  ['wrappers'],
]

export const agentDies = (kills: readonly Victim[]): boolean => kills.includes('agent') || kills.includes('power')
export const agentAlone = (kills: readonly Victim[]): boolean => kills.join() === 'agent' || kills.includes('stop')

/**
 * In each place: the agent dies, the tool, its wrapper, all of them, the machine; a tool is stopped; a tool dies under
 * a living agent.
 */
export function killEverythingIn(places: readonly Where[]): void {
  describe.for(places)('$name', where => {
    test.for(VICTIMS.map(kills => [kills.join(' and '), kills] as const))('%s', async ([, kills]) => {
      const at = place()
      const crash: Crash = { at: where.at, kills }
      const ended = await at.survive(await where.request(at), [crash])
      if (where.refused?.(kills, ended, at)) return
      await expectRestored(at, ended, where.truth, where.kept)
      const journal = at.journal()
      expect(times(journal, 'ended', 'completed')).toBe(1)
      where.expect?.(kills, journal, at)
    })
  })
}
