import { readdirSync } from 'node:fs'
import { expect, it } from 'vitest'
import { startService } from './support.ts'

const NAMES = readdirSync(new URL('../../../docs/runbooks/', import.meta.url)).flatMap(
  file => /^(Holdfast\w+)\.md$/.exec(file)?.[1] ?? [],
)

it.each(NAMES)('the runbook %s is a page, for anybody and without a script', async name => {
  await using service = await startService({ keyless: 'nobody' })
  const response = await fetch(`${service.url}/admin/runbooks/${name}`)
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
  const page = await response.text()
  expect(page).toContain(`<title>${name} · Holdfast</title>`)
  for (const title of ['What it means', 'What to look at', 'What to do', 'When to page']) {
    expect(page).toContain(`<h2>${title}</h2>`)
  }
  expect(page).not.toContain('<script')
  // PromQL and commands stand as they are written.
  expect(page).toMatch(/<pre tabindex="0"><code>[^<]*holdfast/)
})

it('all links of all runbooks lead somewhere', async () => {
  await using service = await startService()
  const index = await (await fetch(`${service.url}/admin/runbooks`)).text()
  for (const name of NAMES) expect(index).toContain(`href="/admin/runbooks/${name}"`)
  const pages = await Promise.all(
    NAMES.map(async name => (await fetch(`${service.url}/admin/runbooks/${name}`)).text()),
  )
  const links = [index, ...pages].flatMap(page =>
    [...page.matchAll(/<a [^>]*href="([^"]+)"/g)].map(([, to = '']) => to),
  )
  expect(links.length).toBeGreaterThan(50)
  for (const to of new Set(links)) {
    expect(to).toMatch(/^\//)
    expect((await fetch(service.url + to)).status, to).toBeLessThan(400)
  }
})

it('nothing else of the folder, or outside of it, is given out', async () => {
  await using service = await startService()
  for (const name of ['README', 'HoldfastLagHigh.md', '..%2Fapi', '..%2F..%2Fpackage.json', 'HoldfastNothing']) {
    expect((await fetch(`${service.url}/admin/runbooks/${name}`)).status, name).toBe(404)
  }
  expect((await fetch(`${service.url}/admin/runbooks`, { method: 'POST' })).status).toBe(405)
})
