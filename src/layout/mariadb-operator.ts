import type { Layout, ListedObject, StoredBackup } from './layout.ts'
import { timeInName } from './name-time.ts'
import { singleObjectBackup } from './plain.ts'

const NAME = /(?:^|\/)physicalbackup-\d{14}\.xb(?:\.gz|\.bz2)?$/

/**
 * mariadb-operator (Kubernetes): `physicalbackup-YYYYMMDDhhmmss.xb[.gz|.bz2]`, a whole mariadb-backup stream in one
 * object, in UTC by its name. It takes full backups only.
 */
export const mariadbOperator: Layout = {
  name: 'mariadb-operator',
  recognises: objects => objects.some(({ key }) => NAME.test(key)),
  metadataKeys: () => [],
  prefixOf: id => id,
  backups: objects => objects.filter(({ key }) => NAME.test(key)).map(backupOf),
}

const backupOf = (object: ListedObject): StoredBackup => ({
  ...singleObjectBackup(object),
  timeMs: timeInName(object.key.slice(object.key.lastIndexOf('/') + 1)),
  kind: 'full',
})
