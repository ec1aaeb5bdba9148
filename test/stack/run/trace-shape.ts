import type { JaegerSpan, JaegerTrace } from './jaeger.ts'

/** Jaeger's warning for a span without length; it means `not positive`. */
const OF_NO_LENGTH = /^Negative duration detected.* end timestamp: (.+) \+0000 UTC, adjusted to: \1\d*1 /

const ROOT_CHILDREN = ['restore outcome', 'attempt']

/** What is wrong with a finished trace; empty where it is one clean tree. */
export function faultsOf({ spans }: JaegerTrace): string[] {
  const byId = Map.groupBy(spans, ({ spanId }) => spanId)
  const roots = spans.filter(({ parentId }) => parentId === null)
  return [
    ...[...byId]
      .filter(([, same]) => same.length > 1)
      .map(([id, same]) => `${same[0]!.name} ${id} is there ${same.length} times`),
    ...spans
      .filter(({ parentId }) => parentId !== null && !byId.has(parentId))
      .map(({ name }) => `${name} has no parent`),
    ...roots
      .flatMap(root => childrenOf({ spans }, root).filter(({ name }) => !ROOT_CHILDREN.includes(name)))
      .map(({ name }) => `${name} hangs under the root`),
    ...(roots.length === 1 && roots[0]!.name === 'restore' ? [] : [`roots: ${roots.map(({ name }) => name).join()}`]),
    ...spans.flatMap(({ name, warnings }) =>
      warnings.filter(warning => !OF_NO_LENGTH.test(warning)).map(warning => `${name}: ${warning}`),
    ),
  ]
}

export const named = ({ spans }: JaegerTrace, name: string): JaegerSpan[] => spans.filter(span => span.name === name)

const childrenOf = ({ spans }: Pick<JaegerTrace, 'spans'>, { spanId }: JaegerSpan): JaegerSpan[] =>
  spans.filter(({ parentId }) => parentId === spanId)
