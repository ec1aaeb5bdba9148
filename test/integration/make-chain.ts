import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { takeBackup } from '../../scripts/sample/backup.ts'
import { loadSample } from '../../scripts/sample/data.ts'
import { fingerprint, installServer, startServer } from '../../scripts/sample/server.ts'

/** A full backup and incrementals of one MariaDB server that was written to all the time, each in two forms. */
export interface Chain {
  elements: readonly ChainBackup[]
}

export interface ChainBackup {
  /** A bare stream: its metadata are seen before anything is extracted. */
  bare: string
  /** The same packed: it tells its LSNs only when it is extracted. */
  zst: string
  /** Rows and checksum of every table as they stood when this backup ended. */
  truth: readonly string[]
}

export interface ChainSize {
  megabytes: number
  fullRedoMegabytes: number
  incrementals: number
  incrementalRedoMegabytes: number
}

export async function makeChain(folder: string, size: ChainSize): Promise<Chain> {
  const at = (name: string) => join(folder, name)
  const source = at('source')
  await installServer(source)
  const server = await startServer(source, at('source.log'), [
    '--innodb-log-file-size=256M',
    '--innodb-io-capacity=5000',
    '--innodb-autoextend-increment=4',
    '--innodb-max-dirty-pages-pct=0',
    '--innodb-max-dirty-pages-pct-lwm=0',
  ])
  const elements: ChainBackup[] = []
  try {
    await loadSample(server, size.megabytes)
    for (let index = 0; index <= size.incrementals; index++) {
      const name = index === 0 ? 'full' : `inc${index}`
      const runDir = at(`${name}.run`)
      mkdirSync(runDir)
      await takeBackup(server, {
        datadir: source,
        file: at(`${name}.zst`),
        runDir,
        redoMegabytes: index === 0 ? size.fullRedoMegabytes : size.incrementalRedoMegabytes,
        options: [
          `--extra-lsndir=${at(`${name}.lsn`)}`,
          ...(index === 0 ? [] : [`--incremental-basedir=${at(index === 1 ? 'full.lsn' : `inc${index - 1}.lsn`)}`]),
        ],
      })
      const truth = await fingerprint(server)
      if (elements.at(-1)?.truth.join() === truth.join()) throw new Error(`the load changed nothing before ${name}`)
      await execa('zstd', ['-q', '-d', '-k', at(`${name}.zst`), '-o', at(`${name}.xb`)])
      elements.push({ bare: at(`${name}.xb`), zst: at(`${name}.zst`), truth })
    }
  } finally {
    await server.stop()
  }
  rmSync(source, { recursive: true })
  return { elements }
}
