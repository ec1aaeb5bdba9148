import { existsSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { times } from './journal.ts'
import { OUTSIDE_KEPT, outsideTables } from './outside-tables.ts'
import type { Place, Request } from './restore-dirs.ts'
import { agentAlone, full, killEverythingIn, started } from './victims.ts'

const MEMORY = '/dev/shm'
const elsewhere = (at: Place) => join(MEMORY, `${basename(at.dir)}-target`)

function targetElsewhere(at: Place): Request {
  onTestFinished(() => rmSync(elsewhere(at), { recursive: true, force: true }))
  return { ...full(), flags: { target_dir: elsewhere(at) } }
}

killEverythingIn([
  {
    name: 'move-back',
    at: started('1-move_back', 5),
    request: full,
    truth: 'full',
    expect: (_, journal) => expect(times(journal, 'run_begun', '1-prepare')).toBe(1),
  },
  {
    name: 'move-back across file systems',
    at: started('1-move_back', 60),
    request: targetElsewhere,
    truth: 'full',
    expect(kills, journal, at) {
      expect(statSync(MEMORY).dev).not.toBe(statSync(tmpdir()).dev)
      expect(existsSync(elsewhere(at))).toBe(false)
      // Copies that were not synced are gone with the power, and so are the originals: all is fetched again.
      expect(times(journal, 'run_begun', '1-prepare')).toBe(kills.includes('power') ? 2 : 1)
      expect(times(journal, 'run_begun', '1-move_back')).toBe(agentAlone(kills) ? 1 : 2)
    },
  },
  {
    name: 'move-back of tables with DATA DIRECTORY, here and on another file system',
    at: started('1-move_back', 25),
    request: outsideTables,
    truth: 'full',
    kept: OUTSIDE_KEPT,
  },
  {
    name: 'start check',
    at: started('1-start_check', 150),
    request: () => ({ ...full(), flags: { start_check: true, owner: 'nobody:nogroup' } }),
    truth: 'full',
    expect: (kills, journal) => expect(times(journal, 'run_begun', '1-start_check')).toBe(agentAlone(kills) ? 1 : 2),
  },
])
