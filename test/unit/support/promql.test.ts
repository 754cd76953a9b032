import { expect, it } from 'vitest'
import { metricsIn } from '../../support/promql.ts'

it.each([
  ['up', ['up']],
  ['up{job="holdfast"} == 0', ['up']],
  ['absent(up{job="a b(c)"} == 1)', ['up']],
  [
    'sum by (job, le) (rate(a_bucket{le=~"0.5|1"}[5m])) / ignoring(le) group_left sum(b_total)',
    ['a_bucket', 'b_total'],
  ],
  ['histogram_quantile(0.99, sum by(le) (rate(x_bucket[$__rate_interval]))) > 1e3', ['x_bucket']],
  ['a offset 5m >= bool b unless on (topic) c', ['a', 'b', 'c']],
  ['job:thing:rate5m > 5 and Inf', ['job:thing:rate5m']],
  ['max_over_time((time() - a)[1h:1m]) # not this', ['a']],
  ['label_replace(a, "dst", "$1", "src", "(.*)") or vector(0)', ['a']],
  ['a{partition=~"$partition"} * on(instance) group_left(version) info', ['a', 'info']],
])('%s asks for %j', (promql, names) => {
  expect(metricsIn(promql)).toEqual(names)
})
