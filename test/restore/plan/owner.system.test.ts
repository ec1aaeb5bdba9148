import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { plannedOwner } from '../../../src/restore/plan/owner.ts'
import { scratch } from '../../support/scratch.ts'

const ownerOf = (user: string, group: string | null) => plannedOwner({ owner: { user, group }, datadir: '/data' })

describe('--owner', () => {
  test('a user alone brings its primary group, by name and by number', () => {
    expect(ownerOf('nobody', null)).toEqual({ name: 'nobody', uid: 65534, gid: 65534 })
    expect(ownerOf('65534', null)).toEqual({ name: '65534', uid: 65534, gid: 65534 })
  })

  test('a number that is no user has no primary group: the group must be given', () => {
    expect(() => ownerOf('4242424', null)).toThrow(expect.objectContaining({ code: 'ownership_failed' }))
    expect(ownerOf('4242424', '17')).toEqual({ name: '4242424:17', uid: 4242424, gid: 17 })
  })

  test('a user that only NSS knows, such as one of LDAP, is found', () => {
    const folder = scratch()
    mkdirSync(join(folder, 'bin'))
    writeFileSync(
      join(folder, 'bin/getent'),
      '#!/bin/sh\ncase "$1 $2" in "passwd dba@corp") echo "dba@corp:x:70001:70002::/:";; "group dbas@corp") echo "dbas@corp:x:70003:";; *) exit 2;; esac\n',
    )
    chmodSync(join(folder, 'bin/getent'), 0o755)
    vi.stubEnv('PATH', `${join(folder, 'bin')}:${process.env.PATH}`)
    onTestFinished(() => void vi.unstubAllEnvs())
    expect(ownerOf('dba@corp', null)).toEqual({ name: 'dba@corp', uid: 70001, gid: 70002 })
    expect(ownerOf('dba@corp', 'dbas@corp')).toEqual({ name: 'dba@corp:dbas@corp', uid: 70001, gid: 70003 })
    expect(() => ownerOf('nobody', null)).toThrow(expect.objectContaining({ code: 'ownership_failed' }))
  })
})
