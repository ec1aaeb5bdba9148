import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, test } from 'vitest'
import { binary } from './binaries.ts'
import { composeArguments, ROOT } from './run/services.ts'

/**
 * Every configuration read by the program it is for, and the versions of compose against those that the tests build.
 */
const text = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const run = async (name: Parameters<typeof binary>[0], args: string[]) =>
  execa(await binary(name), args, { cwd: ROOT, reject: false, all: true })

interface Compose {
  services: Record<
    string,
    { image?: string; profiles?: string[]; ports?: { host_ip: string }[]; volumes?: { type: string; source: string }[] }
  >
}
/** All services, those in a profile too. */
const compose = async () => {
  const { stdout } = await execa(await binary('compose'), ['-format=json', 'docker-compose.yml'], { cwd: ROOT })
  return JSON.parse(stdout) as Compose
}

describe('each program accepts its configuration', () => {
  test('collector', async () => {
    const { exitCode, all } = await run('otelcol', ['validate', '--config=otel-collector.yaml'])
    expect(all).not.toMatch(/deprecat|legacy/i)
    expect(exitCode, all).toBe(0)
  })

  test('Prometheus', async () => {
    const config = composeArguments('prometheus', '/nowhere-at-all')
      .find(argument => argument.startsWith('--config.file='))!
      .slice('--config.file='.length)
    const { exitCode, all } = await run('promtool', ['check', 'config', '--lint=all', '--lint-fatal', config])
    expect(exitCode, all).toBe(0)
  })

  test('rules', async () => {
    const { exitCode, all } = await run('promtool', [
      'check',
      'rules',
      '--lint=all',
      '--lint-fatal',
      'deploy/prometheus/alerts.yml',
    ])
    expect(exitCode, all).toBe(0)
  })

  test.each(['restore', 'fleet'])('dashboard-linter: %s', async name => {
    const config = ['--strict', '--config', 'deploy/grafana/linter.yaml']
    const { exitCode, all } = await run('dashboard-linter', ['lint', ...config, `deploy/grafana/${name}.json`])
    expect(exitCode, all).toBe(0)
  })
})

describe('docker-compose.yml, read by compose itself', () => {
  test('publishes ports on loopback only', async () => {
    const { services } = await compose()
    const ports = Object.values(services).flatMap(({ ports = [] }) => ports)
    expect(ports.length).toBeGreaterThan(5)
    expect(ports.filter(({ host_ip }) => host_ip !== '127.0.0.1')).toEqual([])
  })

  test('mounts files that exist', async () => {
    const { services } = await compose()
    const mounted = Object.values(services).flatMap(({ volumes = [] }) => volumes.filter(({ type }) => type === 'bind'))
    expect(mounted.length).toBeGreaterThan(5)
    for (const { source } of mounted) expect(existsSync(source), source).toBe(true)
  })

  test('the sample is in its profile only', async () => {
    const services = Object.entries((await compose()).services)
    const always = services.filter(([, { profiles }]) => profiles === undefined).map(([name]) => name)
    expect(always.sort()).toEqual(['grafana', 'jaeger', 'loki', 'otel-collector', 'prometheus'])
    const sample = services.filter(([, { profiles }]) => profiles?.join() === 'sample').map(([name]) => name)
    expect(sample.sort()).toEqual(['sample-backup', 'sample-restore'])
  })

  // Jaeger 2.13.0 is the Go module v1.76.0, Prometheus 3.x the module v0.3xx.
  test.each([
    ['otel-collector', 'collector', /otlpreceiver v(\S+)/, (version: string) => version],
    [
      'prometheus',
      'prometheus',
      /prometheus\/prometheus v0\.(\d)(\d\d)\.(\d+)/,
      (...v: string[]) => `v${v[0]}.${Number(v[1])}.${v[2]}`,
    ],
    ['jaeger', 'jaeger', /jaegertracing\/jaeger v(1\.76\.0)/, () => '2.13.0'],
  ])('%s: the tests build the version of the image', async (service, tool, pattern, toTag) => {
    const { image } = (await compose()).services[service]!
    const pins = text(`test/stack/tools/${tool}/${tool === 'collector' ? 'builder.yaml' : 'go.mod'}`)
    expect(image!.split(':').at(-1)).toBe(toTag(...(pattern.exec(pins)!.slice(1) as [string, string, string])))
  })
})
