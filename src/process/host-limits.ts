import { existsSync, readFileSync } from 'node:fs'

/** Limits on open files of this process, which tools inherit; Infinity where there is none. */
export function openFilesLimit(limits = '/proc/self/limits'): { soft: number; hard: number } {
  const [, soft = '', hard = ''] = /^Max open files +(\S+) +(\S+)/m.exec(readFileSync(limits, 'utf8')) ?? []
  const number = (text: string) => (/^\d+$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY)
  return { soft: number(soft), hard: number(hard) }
}

/**
 * What SELinux and AppArmor need before a server may use the restored datadir: the files are new, and their contexts
 * are those of the directory that they were extracted to.
 */
export function accessControlNotices(datadir: string, { sys = '/sys', etc = '/etc' } = {}): string[] {
  const notices: string[] = []
  if (read(`${sys}/fs/selinux/enforce`).trim() === '1')
    notices.push(`SELinux is enforcing: run restorecon -R ${datadir} before a server uses the restored files`)
  const profile = /^(\S*(?:mysqld|mariadbd)) \(enforce\)$/m.exec(read(`${sys}/kernel/security/apparmor/profiles`))?.[1]
  if (profile !== undefined && datadir !== '/var/lib/mysql' && !datadir.startsWith('/var/lib/mysql/')) {
    const name = profile.replace(/^\//, '').replaceAll('/', '.')
    const local = existsSync(`${etc}/apparmor.d/local`) ? `/etc/apparmor.d/local/${name}` : `/etc/apparmor.d/${name}`
    notices.push(
      `AppArmor confines ${profile}: allow ${datadir}/** in ${local} before a server uses the restored files`,
    )
  }
  return notices
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // the kernel lacks the module, or this user may not read its state
  }
}
