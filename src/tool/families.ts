import { mariadbBackup } from './mariadb-backup.ts'
import type { FamilyName, ToolFamily } from './tool.ts'
import { xtrabackup } from './xtrabackup.ts'

const FAMILIES: Readonly<Record<FamilyName, ToolFamily>> = { 'mariadb-backup': mariadbBackup, xtrabackup }

export const toolFamily = (name: FamilyName): ToolFamily => FAMILIES[name]
