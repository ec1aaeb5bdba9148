import { expect } from 'vitest'
import { times } from './journal.ts'
import { agentAlone, chain, full, killEverythingIn, started } from './victims.ts'

/** A tool that died in the middle of a prepare means that its element is extracted again. */
killEverythingIn([
  {
    name: 'prepare of a full',
    at: started('1-prepare', 200),
    request: full,
    truth: 'full',
    expect(kills, journal) {
      expect(times(journal, 'run_begun', '1-extract')).toBe(agentAlone(kills) ? 1 : 2)
      expect(times(journal, 'run_begun', '1-prepare')).toBe(agentAlone(kills) ? 1 : 2)
    },
  },
  {
    name: 'prepare of an incremental',
    at: started('3-prepare', 60),
    request: () => ({ ...chain(), flags: { prefetch: 'off' } }),
    truth: 'chain',
    expect(kills, journal) {
      expect(times(journal, 'run_begun', '3-extract')).toBe(agentAlone(kills) ? 1 : 2)
      expect(times(journal, 'run_begun', '4-extract')).toBe(1)
    },
  },
])
