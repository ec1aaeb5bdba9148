import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'

const ROOT = join(import.meta.dirname, '../..')

/** Builds the npm package into `folder`; gives the tarball's path. */
export async function makeNpmPackage(folder: string): Promise<string> {
  const { stdout } = await execa('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: ROOT })
  return join(folder, stdout.trim().split('\n').at(-1)!)
}

/**
 * What is in the npm package and in the single file, as CycloneDX. `npm sbom --omit=dev` leaves out packages that a
 * development package needs as well, so it gets a lock without development packages.
 */
export async function makeSbom(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'restore-agent-sbom-'))
  try {
    const lock = readJson('package-lock.json')
    const production = Object.entries<{ dev?: true }>(lock.packages).filter(([, entry]) => !entry.dev)
    const packages = Object.fromEntries(production)
    const { devDependencies: _, ...manifest } = readJson('package.json')
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
    writeFileSync(
      join(folder, 'package-lock.json'),
      JSON.stringify({ ...lock, packages: { ...packages, '': { ...packages[''], devDependencies: {} } } }),
    )
    const args = ['sbom', '--package-lock-only', '--sbom-format', 'cyclonedx']
    const sbom = JSON.parse((await execa('npm', args, { cwd: folder })).stdout)
    sbom.metadata.component.name = manifest.name // npm takes the folder's name
    return `${JSON.stringify(sbom, null, 2)}\n`
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const readJson = (name: string) => JSON.parse(readFileSync(join(ROOT, name), 'utf8'))
