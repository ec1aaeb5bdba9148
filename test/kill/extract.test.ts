import { expect, inject } from 'vitest'
import { times } from './journal.ts'
import { agentAlone, agentDies, full, killEverythingIn, started } from './victims.ts'

killEverythingIn([
  {
    name: 'extract from a file',
    at: started('1-extract', 60, 2),
    request: full,
    truth: 'full',
    expect: (kills, journal) => expect(times(journal, 'run_begun', '1-extract')).toBe(agentAlone(kills) ? 1 : 2),
  },
  {
    name: 'extract from a pipe',
    at: started('1-extract', 60),
    request: () => ({ sources: ['-'], stdin: { pipe: inject('chain').elements[0]!.bare } }),
    truth: 'full',
    expect: (_, journal) => expect(times(journal, 'run_begun', '1-extract')).toBe(2),
    // A pipe cannot be read twice by one agent.
    refused(kills, ended, at) {
      if (agentDies(kills)) return false
      expect(ended.code).toBe(41)
      expect(at.state()).toMatchObject({ status: 'failed', error: { code: 'tool_killed' }, tools: [], spans: [] })
      return true
    },
  },
  {
    name: 'fetch of the next element during a prepare',
    at: started('2-extract', 20, 2),
    request: () => ({ sources: inject('chain').elements.map(({ zst }) => zst) }),
    truth: 'chain',
  },
])
