import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { execa } from 'execa'
import { shellFiles } from './shell-files.ts'

const ROOT = join(import.meta.dirname, '../..')

/** Writes a deb and an rpm of the single file `binary` into `folder`; gives their paths. */
export async function makeLinuxPackages(binary: string, folder: string, version: string): Promise<string[]> {
  const work = mkdtempSync(join(tmpdir(), 'restore-agent-packages-'))
  try {
    const tree = join(work, 'tree')
    for (const [path, text] of Object.entries(shellFiles())) {
      mkdirSync(dirname(join(tree, path)), { recursive: true })
      const isManual = path.includes('/man/')
      writeFileSync(join(tree, isManual ? `${path}.gz` : path), isManual ? gzipSync(text, { level: 9 }) : text)
    }
    const changelog = join(work, 'changelog.gz')
    writeFileSync(changelog, gzipSync(debianChangelog(version), { level: 9 }))
    const variables = { VERSION: version, BINARY: binary, SHELL_FILES: tree, CHANGELOG: changelog }
    const config = readFileSync(join(ROOT, 'deploy/packages/nfpm.yaml'), 'utf8')
    const filled = config.replace(/\$\{(\w+)\}/g, (_, name: keyof typeof variables) => variables[name])
    writeFileSync(join(work, 'nfpm.yaml'), filled)
    const { stdout: nfpm } = await execa('sh', [
      join(ROOT, 'scripts/go-tool.sh'),
      join(import.meta.dirname, 'nfpm'),
      'github.com/goreleaser/nfpm/v2/cmd/nfpm',
    ])
    const packages = [`restore-agent_${version}_amd64.deb`, `restore-agent-${version}.x86_64.rpm`]
    for (const name of packages) {
      const packager = name.slice(name.lastIndexOf('.') + 1)
      await execa(nfpm, ['package', '-f', join(work, 'nfpm.yaml'), '-p', packager, '-t', join(folder, name)], {
        cwd: ROOT,
      })
    }
    return packages.map(name => join(folder, name))
  } finally {
    rmSync(work, { recursive: true })
  }
}

/** In Debian's form, which points to ours. */
const debianChangelog = (version: string): string =>
  `restore-agent (${version}) stable; urgency=medium

  * CHANGELOG.md of restore-agent tells what changed.

 -- ${MAINTAINER}  ${new Date().toUTCString().replace('GMT', '+0000')}
`

const MAINTAINER = 'The restore-agent authors <restore-agent@users.noreply.github.com>'
