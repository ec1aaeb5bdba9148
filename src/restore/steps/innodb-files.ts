import { existsSync, readFileSync } from 'node:fs'
import { DEFAULT_PAGE_BYTES } from '../../backup/tablespace-header.ts'

/** How the server laid out its InnoDB files. */
export interface Layout {
  /** Files of the system tablespace in their order, which a server may call what it likes. */
  systemFiles: readonly string[]
  /** innodb_page_size of every tablespace. */
  pageBytes: number
}

const DEFAULT: Layout = { systemFiles: ['ibdata1'], pageBytes: DEFAULT_PAGE_BYTES }

/** By the backup's own backup-my.cnf; what it does not say is the server's default. */
export function layoutOf(backupConfig: string): Layout {
  if (!existsSync(backupConfig)) return DEFAULT
  const config = readFileSync(backupConfig, 'utf8')
  const setting = (key: string) => new RegExp(`^${key}\\s*=\\s*(\\S+)`, 'm').exec(config)?.[1]
  const systemFiles = setting('innodb_data_file_path')
    ?.split(';')
    .map(file => file.replace(/:.*/, ''))
  return {
    systemFiles: systemFiles ?? DEFAULT.systemFiles,
    pageBytes: Number(setting('innodb_page_size') ?? DEFAULT.pageBytes),
  }
}
