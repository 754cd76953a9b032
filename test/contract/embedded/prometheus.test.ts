import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { FIRST_GRAPH, startDemoPrometheus } from '#tools/demo/prometheus.ts'
import { startPrometheus } from '#tools/demo/servers/prometheus.ts'
import { rulesOf, withPrometheus } from '../../support/prometheus.ts'

withPrometheus('a real Prometheus', () => {
  it('scrapes its targets, evaluates rules, answers queries, and keeps it all in a folder of the caller', async () => {
    const rulesDir = aFolder()
    const rule = { record: 'answer:doubled', expr: 'answer * 2' }
    writeFileSync(join(rulesDir, 'some.yml'), JSON.stringify({ groups: [{ name: 'some', rules: [rule] }] }))
    const url = await aPage('# TYPE answer gauge\nanswer{of="all"} 42\n')
    const dir = join(aFolder(), 'kept')
    {
      const targets = [{ url, labels: { replica: 'a' } }]
      await using prometheus = await startPrometheus({ targets, rulesDir, dir, intervalMs: 200 })
      await prometheus.scraped(3)
      const series = { of: 'all', replica: 'a', job: 'holdfast', instance: new URL(url).host }
      // A scrape that is too late on a busy machine leaves a gap, which the next one closes.
      await expect
        .poll(() => prometheus.query('answer'))
        .toEqual([{ labels: { ...series, __name__: 'answer' }, value: 42 }])
      await expect.poll(() => prometheus.query('answer:doubled')).toMatchObject([{ value: 84 }])
      const page = await fetch(prometheus.graphOf('sum(answer)'))
      expect(page.headers.get('content-type')).toContain('text/html')
      expect(new URL(page.url).searchParams.get('g0.expr')).toBe('sum(answer)')
    }
    await using again = await startPrometheus({ targets: [], dir })
    expect(await again.query('max_over_time(answer[1h])')).toMatchObject([{ value: 42 }])
  })

  it('tells answers from refusals, and leaves no files', async () => {
    let dir: string
    {
      await using prometheus = await startPrometheus({ targets: [] })
      dir = prometheus.dir
      expect(await prometheus.query('scalar(vector(1)) / 0')).toEqual([{ labels: {}, value: Number.POSITIVE_INFINITY }])
      expect(await prometheus.query('no_such_thing')).toEqual([])
      await expect(prometheus.query('sum(')).rejects.toThrow(/^sum\(: .*parse error/)
      await expect(prometheus.query('answer[1m]')).rejects.toThrow('it gives a matrix')
    }
    expect(existsSync(dir)).toBe(false)
  })

  it('stands beside the demo with all rules, or says in one line why not', async () => {
    const beside = await startDemoPrometheus('http://127.0.0.1:1', undefined)
    if (typeof beside === 'string') throw new Error(beside)
    await using prometheus = beside
    const rules = await rulesOf(prometheus.url)
    expect(rules.length).toBeGreaterThan(20)
    expect(rules.map(({ name }) => name)).toContain(FIRST_GRAPH)

    const noFolder = join(aFolder(), 'a-file')
    writeFileSync(noFolder, '')
    expect(await startDemoPrometheus('http://127.0.0.1:1', noFolder)).toMatch(/^did not start: [^\n]+$/)
  })

  it('says why it does not start on rules that it cannot read', async () => {
    const rulesDir = aFolder()
    writeFileSync(join(rulesDir, 'bad.yml'), 'groups: [{name: bad, rules: [{record: x, expr: "sum("}]}]')
    await expect(startPrometheus({ targets: [], rulesDir })).rejects.toThrow(/ended while starting.*parse error/s)
  })
})

function aFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  return dir
}

/** A server that answers whatever is asked with this text. */
async function aPage(text: string): Promise<string> {
  const server = createServer((_, response) => response.end(text))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
