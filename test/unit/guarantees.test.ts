import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const root = new URL('../../', import.meta.url)
const text = readFileSync(new URL('docs/guarantees.md', root), 'utf8')

describe('docs/guarantees.md', () => {
  it('names tests that exist', () => {
    const named = new Set([...text.matchAll(/`(test\/[^`\s]+)`/g)].map(([, path = '']) => path))
    expect(named.size).toBeGreaterThan(20)
    expect([...named].filter(path => !existsSync(new URL(path, root)))).toEqual([])
  })

  it('tells of each row of the fault matrix how it is shown, or why it is not covered', () => {
    const rows = [...text.matchAll(/^\| (\d+) \|.*\| ([^|]+) \|$/gm)]
    expect(rows.length).toBeGreaterThanOrEqual(48)
    expect(rows.map(([, number]) => Number(number))).toEqual(rows.map((_, i) => i + 1))
    for (const [row, , shownBy] of rows) {
      expect(shownBy, row).toMatch(/`(test\/|make chaos)|Not covered: \w{3,}/)
    }
  })

  it('shows each promise by a test', () => {
    const promises =
      text
        .split('## What is promised')[1]
        ?.split('\n## ')[0]
        ?.match(/^\| \*\*.*$/gm) ?? []
    expect(promises.length).toBeGreaterThan(8)
    for (const promise of promises) expect(promise).toMatch(/\| `test\/[^|]+ \|$/)
  })

  it('leaves no scenario about a fault unnamed', () => {
    // These are about what works, not about what breaks.
    const elsewhere = [
      'a-backlog-fills-batches-and-a-record-alone-does-not-wait',
      'a-person-adds-an-order-and-sees-it-stored',
      'a-restart-keeps-orders-and-warms-the-cache',
      'a-thousand-dead-letters-are-an-inbox',
      'an-operator-repairs-dead-letters-in-the-console',
      'an-order-arrives-and-is-read-back',
      'an-order-is-followed-from-its-producer-to-the-commit',
      'an-order-sent-to-the-api-takes-the-road-of-every-other',
      'dashboards-show-a-run-with-faults',
      'every-bad-input-has-its-outcome',
      'hash-partitioned-tables-change-nothing',
      'keys-decide-who-may-use-the-api',
      'lag-is-told-in-records-and-in-seconds',
      'metrics-tell-what-happened',
      'nothing-personal-leaves-the-service',
      'operators-do-what-their-page-says',
      'the-benchmark-measures-any-program',
      'the-demo-waits-out-an-outage-and-proves-itself',
      'the-first-stream-is-made-as-its-page-says',
    ]
    const scenarios = readdirSync(new URL('test/scenarios/', root)).filter(name => name.endsWith('.test.ts'))
    const unnamed = scenarios.filter(name => !text.includes(`test/scenarios/${name}`))
    expect(unnamed.filter(name => !elsewhere.includes(name.replace('.test.ts', '')))).toEqual([])
  })
})
