import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { expect, inject } from 'vitest'
import { times } from './journal.ts'
import type { Place, Request } from './restore-dirs.ts'
import { agentAlone, chain, full, killEverythingIn, started } from './victims.ts'

/** An extracted backup that is prepared where it lies. */
function inPlace(at: Place): Request {
  const source = join(at.dir, 'source')
  mkdirSync(source)
  execaSync('mbstream', ['-x', '-C', source], { inputFile: inject('chain').elements[0]!.bare })
  return { sources: [source], flags: { in_place: true } }
}

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
  {
    // There is no source to extract it from again, and the prepare has changed what there is.
    name: 'prepare of a full in place',
    at: started('1-prepare', 100),
    request: inPlace,
    truth: 'full',
    kept: ['source'],
    expect: (kills, journal) => expect(times(journal, 'run_begun', '1-prepare')).toBe(agentAlone(kills) ? 1 : 2),
  },
])
