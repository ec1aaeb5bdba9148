import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'

const ROOT = join(import.meta.dirname, '../..')

/** Builds with kustomize and decodes strictly into the Go types of the Kubernetes API and of Prometheus Operator. */
async function built(...folders: string[]) {
  const { stdout: program } = await execa('sh', [
    join(ROOT, 'scripts/go-tool.sh'),
    join(ROOT, 'scripts/package/manifests'),
    '.',
  ])
  return execa(program, folders, { cwd: ROOT, reject: false })
}

test('base, overlay and Job build, and hold nothing but fields of the Kubernetes API', async () => {
  const folders = ['base', 'with-prometheus', 'restore-job'].map(name => `deploy/kubernetes/${name}`)
  const { exitCode, stdout, stderr } = await built(...folders)
  expect([exitCode, stderr]).toEqual([0, ''])
  const objects = parseAllDocuments(stdout).flatMap(document => document.toJS() ?? [])
  const kinds = new Set(objects.map(({ kind }) => kind))
  for (const kind of ['StatefulSet', 'Job', 'Service', 'NetworkPolicy', 'Secret', 'ConfigMap', 'PodMonitor'])
    expect(kinds).toContain(kind)
  const pods = objects
    .filter(({ kind }) => kind === 'StatefulSet' || kind === 'Job')
    .map(object => object.spec.template.spec)
  for (const { securityContext, initContainers, containers } of pods) {
    expect(securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 999, fsGroup: 999 })
    for (const container of [...initContainers, ...containers])
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        readOnlyRootFilesystem: true,
      })
  }
  const names = (workload: { containers: { ports?: { name: string }[] }[] }) =>
    workload.containers.flatMap(({ ports }) => ports?.map(({ name }) => name) ?? [])
  expect(pods.map(names)).toEqual([['api'], ['api', 'metrics'], []])
})

test('a field that the API does not have is an error', async () => {
  const { exitCode, stderr } = await built('test/packages/wrong-manifest')
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining('unknown field "backoffLimits"')])
})
