import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { accessControlNotices, openFilesLimit } from '../../src/process/host-limits.ts'
import { scratch } from '../support/scratch.ts'

function host(files: Readonly<Record<string, string>>): { sys: string; etc: string } {
  const root = scratch()
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  return { sys: join(root, 'sys'), etc: join(root, 'etc') }
}

test('SELinux that enforces wants restorecon, and only then', () => {
  const enforcing = host({ 'sys/fs/selinux/enforce': '1' })
  expect(accessControlNotices('/data/mysql', enforcing)).toEqual([
    'SELinux is enforcing: run restorecon -R /data/mysql before a server uses the restored files',
  ])
  expect(accessControlNotices('/data/mysql', host({ 'sys/fs/selinux/enforce': '0' }))).toEqual([])
  expect(accessControlNotices('/data/mysql', host({}))).toEqual([])
})

test('AppArmor that confines the server wants a datadir elsewhere to be allowed', () => {
  const profiles = '/usr/bin/man (enforce)\n/usr/sbin/mysqld (enforce)\n'
  const confined = host({ 'sys/kernel/security/apparmor/profiles': profiles, 'etc/apparmor.d/local/x': '' })
  expect(accessControlNotices('/data/mysql', confined)).toEqual([
    'AppArmor confines /usr/sbin/mysqld: allow /data/mysql/** in /etc/apparmor.d/local/usr.sbin.mysqld before a server uses the restored files',
  ])
  expect(accessControlNotices('/var/lib/mysql', confined)).toEqual([])
  const complaining = { 'sys/kernel/security/apparmor/profiles': '/usr/sbin/mysqld (complain)\n' }
  expect(accessControlNotices('/data/mysql', host(complaining))).toEqual([])
})

test('the limits on open files are read, without one too', () => {
  const { soft, hard } = openFilesLimit()
  expect(soft).toBeGreaterThan(0)
  expect(hard).toBeGreaterThanOrEqual(soft)
  const { sys } = host({
    'sys/limits': 'Limit   Soft Limit   Hard Limit   Units\nMax open files            unlimited    unlimited   files\n',
  })
  expect(openFilesLimit(join(sys, 'limits'))).toEqual({
    soft: Number.POSITIVE_INFINITY,
    hard: Number.POSITIVE_INFINITY,
  })
})
