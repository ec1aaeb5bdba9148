/** Prometheus' HTTP API, as far as the tests ask it. Times are Unix seconds. */
export interface Prometheus {
  url: string
  /** The instant vector of an expression, now or at a time. */
  query(expr: string, at?: number): Promise<Sample[]>
  /** Raw samples of a selector with a range, such as `x[5m]`. */
  samples(selector: string, at?: number): Promise<Series[]>
  range(expr: string, from: number, to: number, stepS: number): Promise<Series[]>
  /** Alerts that fire, by name; all labels. */
  firing(name: string): Promise<Record<string, string>[]>
}

export interface Sample {
  labels: Record<string, string>
  value: number
}
export interface Series {
  labels: Record<string, string>
  /** Time, value. */
  points: [number, number][]
}

interface Answer {
  status: string
  error?: string
  data: {
    resultType: string
    result: { metric: Record<string, string>; value?: [number, string]; values?: [number, string][] }[]
  }
}

export function prometheusAt(url: string): Prometheus {
  const ask = async (path: string, parameters: Record<string, string>): Promise<Answer['data']> => {
    const response = await fetch(`${url}/api/v1/${path}`, { method: 'POST', body: new URLSearchParams(parameters) })
    const answer = (await response.json()) as Answer
    if (answer.status !== 'success') throw new Error(`${answer.error}: ${parameters.query}`)
    return answer.data
  }
  const at = (time: number | undefined) => (time === undefined ? {} : { time: String(time) })
  const series = ({ result }: Answer['data']): Series[] =>
    result.map(({ metric, values }) => ({ labels: metric, points: values!.map(([t, text]) => [t, Number(text)]) }))
  return {
    url,
    async query(expr, time) {
      const { resultType, result } = await ask('query', { query: expr, ...at(time) })
      if (resultType === 'scalar') return [{ labels: {}, value: Number((result as unknown as [number, string])[1]) }]
      return result.map(({ metric, value }) => ({ labels: metric, value: Number(value![1]) }))
    },
    samples: async (selector, time) => series(await ask('query', { query: selector, ...at(time) })),
    range: async (expr, from, to, stepS) =>
      series(await ask('query_range', { query: expr, start: String(from), end: String(to), step: String(stepS) })),
    async firing(name) {
      const response = await fetch(`${url}/api/v1/alerts`)
      const { data } = (await response.json()) as {
        data: { alerts: { labels: Record<string, string>; state: string }[] }
      }
      return data.alerts
        .filter(({ labels, state }) => labels.alertname === name && state === 'firing')
        .map(a => a.labels)
    },
  }
}
