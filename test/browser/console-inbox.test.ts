import { readFile } from 'node:fs/promises'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ConsolePages, KEY, READER, startConsole } from './console-pages.ts'
import { fillWithThousand } from './console-stand-in.ts'
import { MODEL } from './pages.ts'
import { launchBrowser } from './support.ts'

let browser: Browser
let pages: ConsolePages

beforeAll(async () => {
  browser = await launchBrowser()
  pages = await startConsole(browser, { fill: fillWithThousand })
})

afterAll(async () => {
  await browser?.close()
  await pages?.[Symbol.asyncDispose]()
})

describe('the key', () => {
  it('is asked for first; a wrong one and one that may not are told apart', () =>
    pages.visitWithoutKey('/admin', async page => {
      await page.getByText('The console takes a key with the role admin.').waitFor()
      expect(await page.locator('#content').isVisible()).toBe(false)
      await give(page, 'guessed')
      await page.getByText('This key is not accepted here.').waitFor()
      await give(page, READER)
      await page.getByText('This key may not do that.').waitFor()
      await give(page, KEY)
      await causesAre(page, ['550', '300', '150'])
      await page.reload()
      await causesAre(page, ['550', '300', '150'])
    }))

  it('that the service no longer takes, as after a restart, is asked for again, and what it showed goes', () =>
    pages.visitWithoutKey('/admin', async page => {
      await give(page, KEY)
      await causesAre(page, ['550', '300', '150'])
      const problem = { title: 'Unauthorized', status: 401, code: 'bad_key', detail: 'This key is not known here.' }
      await page.route('**/admin/events', route => route.fulfill({ status: 401, json: problem }))
      await page.evaluate("dispatchEvent(new Event('online'))")
      await page.getByText('This key is not accepted here.').waitFor()
      await page.locator('#content').waitFor({ state: 'hidden' })
      await page.unroute('**/admin/events')
      await give(page, KEY)
      await causesAre(page, ['550', '300', '150'])
    }))

  it('is forgotten when that is asked for, and everything it showed goes with it', () =>
    pages.visitWithoutKey('/admin?view=list', async page => {
      await give(page, KEY)
      await page.locator('#view tbody tr').first().waitFor()
      await page.getByRole('button', { name: 'Forget the key' }).click()
      await page.getByText('The key is forgotten.').waitFor()
      expect(await page.locator('#view').textContent()).toBe('')
      expect(await page.evaluate('sessionStorage.length')).toBe(0)
    }))
})

describe('dead letters', () => {
  it('come by cause first, with how many, since when, and an example', () =>
    pages.visit('/admin', async page => {
      await causesAre(page, ['550', '300', '150'])
      const first = await page.locator('#view tbody tr').first().textContent()
      expect(first).toContain('schema_violation · required at /payment/amount')
      expect(first).toContain('for example b563feb7b2b84b6')
      // (and some minutes, when the tests before it were slow)
      await page.getByText(/^1,000 dead letters, the oldest failed 4 h( \d+ min)? ago$/).waitFor()
      expect(await page.locator('#view tbody svg.sparkline').first().getAttribute('aria-label')).toBe(
        '550 in the last 24 hours',
      )
      const absolute = await page.locator('#view tbody time').first().getAttribute('title')
      expect(absolute).toMatch(/^\d{1,2} \w{3} \d{4}, \d\d:\d\d:\d\d UTC$/)
    }))

  it('lead from a cause to its letters, page by page, and back to the same place', () =>
    pages.visit('/admin', async page => {
      await page.locator('#view tbody tr', { hasText: '/delivery/email' }).locator('[data-main]').click()
      await rowsBecome(page, 50)
      expect(new URL(page.url()).searchParams.get('q')).toBe(
        'state:open reason:schema_violation error:format pointer:/delivery/email',
      )
      await page.getByRole('button', { name: 'Show 50 more' }).click()
      await rowsBecome(page, 100)
      const row = page.locator('#view tbody tr').nth(70)
      const id = await row.getAttribute('data-row')
      await row.locator('[data-main]').click()
      await page.getByRole('heading', { name: id ?? '' }).waitFor()
      await page.getByRole('link', { name: 'Next' }).click()
      await page.getByRole('link', { name: 'Previous' }).click()
      await page.getByRole('heading', { name: id ?? '' }).waitFor()
      await page.getByRole('link', { name: 'Back to the list' }).click()
      await rowsBecome(page, 100)
      expect(await focusedRow(page)).toBe(id)
    }))

  it('are narrowed by the filter, whose faults are marked at their column', () =>
    pages.visit('/admin?view=list', async page => {
      await rowsBecome(page, 50)
      await filter(page, 'state:open reson:x')
      await page.getByText('Column 12: There is no field "reson"').waitFor()
      expect(await page.locator('#filter-wrong mark').textContent()).toBe('reson:x')
      expect(await page.locator('#filter').getAttribute('aria-invalid')).toBe('true')
      // Nothing is offered for what is not there.
      expect(await page.locator('#view button:visible').allTextContents()).toEqual(['Filter', '?'])
      expect(await page.locator('.selection').isVisible()).toBe(false)
      expect(await page.locator('#content > .cli').isVisible()).toBe(false)
      await filter(page, 'text:"Ærø🙂" non:sense')
      expect(await page.locator('#filter-wrong mark').textContent()).toBe('non:sense')
      await filter(page, 'reason:too_large')
      await page.getByText('Nothing matches this filter').waitFor()
      await page.getByRole('link', { name: 'Show all dead letters' }).click()
      await rowsBecome(page, 50)
    }))

  it('are sorted by the head of a column, which the address keeps and a letter leads back to', () =>
    pages.visit('/admin?view=list&q=error%3Aformat', async page => {
      await rowsBecome(page, 50)
      const head = (name: string) => page.locator('th', { has: page.getByRole('link', { name }) })
      expect(await head('Failed').getAttribute('aria-sort')).toBe('descending')
      expect(await firstRow(page)).toBe('orders-0-120996')

      await page.getByRole('link', { name: 'Record' }).focus()
      await page.keyboard.press('Enter')
      await expect.poll(() => firstRow(page)).toBe('orders-0-120012')
      expect(await head('Record').getAttribute('aria-sort')).toBe('ascending')
      expect(await head('Failed').getAttribute('aria-sort')).toBeNull()
      // Who sorts by keyboard goes on from there.
      expect(await page.evaluate('document.activeElement.textContent')).toBe('Record ↑')
      await page.getByRole('button', { name: 'Show 50 more' }).click()
      await rowsBecome(page, 100)
      const places = await page.locator('#view tbody tr').evaluateAll(rows => rows.map(row => row.dataset.row ?? ''))
      expect(places).toEqual(places.toSorted((a, b) => placeNumber(a) - placeNumber(b)))
      await expect
        .poll(() => page.locator('#content > .cli code').textContent())
        .toBe('bin/holdfast dlq ls --limit 50 --sort source error:format')

      await page.locator('#view tbody [data-main]').nth(1).click()
      await page.getByRole('link', { name: 'Previous' }).click()
      await page.getByRole('heading', { name: places[0] ?? '', exact: true }).waitFor()
      await page.reload()
      await page.getByRole('link', { name: 'Back to the list' }).click()
      await expect.poll(() => firstRow(page)).toBe('orders-0-120012')
      expect(new URL(page.url()).searchParams.get('sort')).toBe('source')
      await page.getByRole('link', { name: 'Record' }).click()
      await expect.poll(() => firstRow(page)).toBe('orders-5-120995')
      await page.goBack()
      await expect.poll(() => firstRow(page)).toBe('orders-0-120012')
    }))

  it('are narrowed to the cause of a row', () =>
    pages.visit('/admin?view=list&sort=source', async page => {
      await rowsBecome(page, 50)
      const row = page.locator('#view tbody tr', { hasText: '/delivery/email' }).first()
      await row.getByRole('link', { name: 'schema_violation' }).click()
      await page.getByText('300 dead letters, the oldest failed').waitFor()
      expect(new URL(page.url()).searchParams.get('sort')).toBe('source')
    }))

  it('leave the focus where it is when causes are counted anew', async () => {
    await using own = await startConsole(browser, { fill: inbox => void inbox.add() })
    await own.visit('/admin', async page => {
      const focused = () => page.evaluate('document.activeElement.textContent')
      await page.getByRole('button', { name: 'Redrive all 1 …' }).focus()
      own.inbox.add()
      await page.getByText('2 dead letters, the oldest').waitFor()
      expect(await focused()).toBe('Redrive all 2 …')
      await page.locator('#view tbody').getByRole('button', { name: 'Redrive …' }).focus()
      own.inbox.add()
      await page.getByText('3 dead letters, the oldest').waitFor()
      expect(await focused()).toBe('Redrive …')
    })
  })

  it.each(['mouse', 'Space'])('do not pull a button from under a press when causes are counted anew: %s', async by => {
    await using own = await startConsole(browser, { fill: inbox => void inbox.add() })
    await own.visit('/admin', async page => {
      const one = page.getByRole('button', { name: 'Discard all 1 …' })
      await (by === 'mouse' ? one.hover() : one.focus())
      await (by === 'mouse' ? page.mouse.down() : page.keyboard.down(by))
      own.inbox.add()
      await page.getByText('2 dead letters, the oldest').waitFor()
      await (by === 'mouse' ? page.mouse.up() : page.keyboard.up(by))
      // It takes effect; and what it was about to take is what it takes.
      await page.getByRole('dialog').waitFor()
      await page.getByRole('button', { name: 'Discard all 2 …', includeHidden: true }).waitFor({ state: 'attached' })
    })
  })

  it('show beside their arrivals when consumers were started, and which start was a deploy', async () => {
    await using own = await startConsole(browser, { fill: fillWithThousand })
    const at = new Date(Date.now() - 3 * 3_600_000 - 1_000).toISOString()
    own.inbox.starts.push(
      { step: 20, version: '1.4.0', count: 2, at, deployed: true },
      { step: 22, version: '1.4.0', count: 1, at: new Date().toISOString(), deployed: false },
    )
    await own.visit('/admin', async page => {
      await page.locator('.glance').getByText('1.4.0 deployed 3 h ago').waitFor()
      const [cause] = await page.locator('#view tbody svg.sparkline').all()
      expect(await cause?.locator('.pin').count()).toBe(2)
      expect(await cause?.locator('.pin.deployed').count()).toBe(1)
      expect(await cause?.getAttribute('aria-label')).toMatch(
        /^550 in the last 24 hours; 1\.4\.0 restarted \d+ \w+ \d{4}, /,
      )
    })
  })

  it('say when there is nothing to do', async () => {
    await using empty = await startConsole(browser)
    await empty.visit('/admin', async page => {
      await page.getByText('Nothing here: no dead letter is open').waitFor()
      await page.getByText('Running and up to date. No dead letter is open.').waitFor()
      await page.getByRole('link', { name: 'Show those that are dealt with' }).click()
      await page.getByText('There has never been a dead letter').waitFor()
      await page.getByRole('link', { name: 'Redrives' }).click()
      await page.getByText('Nothing has been redriven yet').waitFor()
      await page.getByRole('link', { name: 'Audit log' }).click()
      await page.getByText('Nothing is noted yet').waitFor()
    })
  })

  it('are told when more come in, without moving the list under the hand', async () => {
    await using own = await startConsole(browser, { fill: inbox => void inbox.add({ key: 'first' }) })
    await own.visit('/admin?view=list', async page => {
      await rowsBecome(page, 1)
      expect(await page.getByText('New dead letters.').count()).toBe(0)
      own.inbox.add({ key: 'second' })
      await page.getByText('New dead letters.').waitFor()
      await rowsBecome(page, 1)
      await page.getByRole('button', { name: 'Show them' }).click()
      await rowsBecome(page, 2)
    })
  })
})

describe('one dead letter', () => {
  it('shows the violating place beside its rule, with what is personal masked', () =>
    pages.visit('/admin?letter=orders-0-120012', async page => {
      const line = page.locator('.violating')
      await line.waitFor()
      expect(await line.textContent()).toBe('    "email": "•••"must be an email address format')
      expect(await line.locator('mark').textContent()).toBe('"•••"')
      expect(await page.locator('.payload').textContent()).not.toContain(MODEL.delivery.name)
      expect(await page.locator('[data-card="Record"]').textContent()).toContain('orders-0 @ 120012')
    }))

  it('points at the object in which something is missing', () =>
    pages.visit('/admin?letter=orders-0-120000', async page => {
      expect(await page.locator('.violating').textContent()).toBe('  "payment": {amount is missing required')
    }))

  it('is shown in full only when that is asked for, and the audit log says who asked', () =>
    pages.visit('/admin?letter=orders-0-120000', async page => {
      await page.getByRole('button', { name: 'Reveal (the audit log notes it)' }).click()
      await page.locator('.payload', { hasText: MODEL.delivery.name }).waitFor()
      await page.getByText('looked at in full by ada').waitFor()
      // It is not kept: who comes back has to ask again.
      await page.reload()
      await page.locator('.payload', { hasText: '•••' }).waitFor()
      await page.getByRole('link', { name: 'Audit log' }).click()
      const entry = await page.locator('#view tbody tr').first().textContent()
      expect(entry).toContain('ada')
      expect(entry).toContain('reveal')
      expect(entry).toContain('id:orders-0-120000')
    }))

  it('shows bytes that are no text as bytes', () =>
    pages.visit('/admin?letter=orders-5-120017', async page => {
      await page.getByText('are not text, so nothing in them can be masked').waitFor()
      expect(await page.locator('.hex').count()).toBe(0)
      await page.getByRole('button', { name: 'Reveal (the audit log notes it)' }).click()
      await page.locator('pre.hex').waitFor()
      expect(await page.locator('pre.hex').textContent()).toContain('ff  fe 73 74')
    }))

  it('shows where broken JSON breaks, and copies itself for a colleague', async () => {
    const value = Buffer.from('{"order_uid": "broken",\n "amount": NaN}')
    const fill = (inbox: ConsolePages['inbox']) =>
      void inbox.add({ value, reason: 'malformed_json', error: 'not_json', pointer: '', violations: [] })
    await using own = await startConsole(browser, { fill })
    await own.visit(
      '/admin?letter=orders-0-0',
      async page => {
        await page.getByRole('button', { name: 'Reveal (the audit log notes it)' }).click()
        await page.getByText('From line 2, column 12 on it is no JSON.').waitFor()
        expect(await page.locator('.payload mark').textContent()).toBe('N')
        await page.getByRole('button', { name: 'Hex' }).click()
        expect(await page.locator('pre.hex').textContent()).toContain('7b 22 6f 72')
        await page.getByRole('button', { name: 'Copy as curl' }).click()
        const copied = () => page.evaluate<string>('navigator.clipboard.readText()')
        await expect
          .poll(copied)
          .toBe(`curl --header "Authorization: Bearer $HOLDFAST_KEY" ${own.url}/admin/dead-letters/orders-0-0`)
        await page.getByRole('button', { name: 'Copy as JSON' }).click()
        await expect.poll(copied).toMatch(/^\{/)
        expect(JSON.parse(await copied())).toMatchObject({
          id: 'orders-0-0',
          reason: 'malformed_json',
          value: { text: value.toString() },
        })
      },
      { permissions: ['clipboard-read', 'clipboard-write'] },
    )
  })

  it('leads to its trace where somebody shows it, and to what is beside it', async () => {
    const trace = 'c'.repeat(32)
    const fill = (inbox: ConsolePages['inbox']) => {
      for (const [index, flags] of ['01', '00'].entries()) {
        const id = inbox.add({ key: 'one', failed_at: `2026-01-01T00:00:0${index}.000Z` })
        const record = inbox.bytes.get(id)
        const header = ['traceparent', Buffer.from(`00-${trace}-${'d'.repeat(16)}-${flags}`)] as const
        if (record !== undefined) inbox.bytes.set(id, { ...record, headers: [header] })
      }
      inbox.add({ key: 'two', source_partition: 1, error: 'type' })
    }
    await using own = await startConsole(browser, { fill, traceUrl: 'http://viewer.test/trace/{trace_id}' })
    await own.visit('/admin?letter=orders-0-0', async page => {
      const facts = page.locator('[data-card="Record"]')
      const link = facts.getByRole('link', { name: trace })
      expect(await link.getAttribute('href')).toBe(`http://viewer.test/trace/${trace}`)
      for (const [name, count] of [
        ['of this cause', 2],
        ['with this key', 2],
        ['of this partition', 2],
      ] as const) {
        await page.goto(`${own.url}/admin?letter=orders-0-0`)
        await facts.getByRole('link', { name }).click()
        await rowsBecome(page, count)
      }
      await page.goto(`${own.url}/admin?letter=orders-0-1`)
      await facts.getByText('not sampled: no trace was recorded').waitFor()
      expect(await facts.getByRole('link', { name: trace }).count()).toBe(0)
    })
  })

  it('is told from its sending on, and can be kept as a file', () =>
    pages.visit('/admin?letter=orders-0-120000', async page => {
      const entries = page.locator('.history li')
      expect(await entries.first().textContent()).toMatch(/^sent\d{1,2} \w{3} \d{4}/)
      const [masked] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name: 'Download' }).click(),
      ])
      expect(masked.suggestedFilename()).toBe('orders-0-120000.masked.json')
      await page.getByRole('button', { name: 'Reveal (the audit log notes it)' }).click()
      await page.getByText('Shown in full. The audit log').waitFor()
      const [whole] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name: 'Download' }).click(),
      ])
      expect(whole.suggestedFilename()).toBe('orders-0-120000.json')
      const value = pages.inbox.bytes.get('orders-0-120000')?.value
      expect(await readFile(await whole.path())).toEqual(value)
    }))

  it('folds a value of ten thousand items, but not what is wrong in it', async () => {
    const items = Array.from({ length: 10_000 }, (_, index) => ({
      ...MODEL.items[0],
      price: index === 7_000 ? 'x' : 1,
    }))
    const violations = [{ pointer: '/items/7000/price', keyword: 'type', message: 'must be an integer' }]
    const fill = (inbox: ConsolePages['inbox']) =>
      void inbox.add({ value: Buffer.from(JSON.stringify({ ...MODEL, items })), violations })
    await using own = await startConsole(browser, { fill })
    await own.visit('/admin?letter=orders-0-0', async page => {
      expect(await page.locator('.violating').textContent()).toBe('      "price": "•••",must be an integer type')
      expect(await page.locator('.code li').count()).toBeLessThan(100)
      await page.getByRole('button', { name: 'lines without a violation' }).first().click()
      expect(await page.locator('.code li').count()).toBeGreaterThan(400)
    })
  })

  it('tells that it would pass now, and why not', () =>
    pages.visit('/admin?letter=orders-4-120052', async page => {
      await page.getByRole('button', { name: 'Would it pass now?' }).click()
      await page.locator('#view').getByText('No: delivery › email must be an email address.').waitFor()
      await page.goto(`${pages.url}/admin?letter=orders-0-120012`)
      await page.getByRole('button', { name: 'Would it pass now?' }).click()
      await page.locator('#view').getByText('Yes: it would pass now.').waitFor()
    }))

  it('that is not there is said to be not there', () =>
    pages.visit('/admin?letter=nobody', page =>
      page.locator('#view').getByText('There is no dead letter with this id.').waitFor(),
    ))
})

describe('addresses and keys', () => {
  it('keep what is on the screen over a reload, and through back and forward', () =>
    pages.visit('/admin?view=list&q=error%3Anot_utf8', async page => {
      await rowsBecome(page, 50)
      await page.reload()
      await rowsBecome(page, 50)
      expect(await page.locator('#filter').inputValue()).toBe('error:not_utf8')
      await page.locator('#view tbody [data-main]').first().click()
      await page.getByRole('link', { name: 'Back to the list' }).waitFor()
      expect(page.url()).toContain('letter=orders-')
      await page.getByRole('link', { name: 'Audit log' }).click()
      await page.getByRole('heading', { name: 'Audit log' }).waitFor()
      await page.goBack()
      await page.getByRole('link', { name: 'Back to the list' }).waitFor()
      await page.goBack()
      await rowsBecome(page, 50)
      await page.goForward()
      await page.getByRole('link', { name: 'Back to the list' }).waitFor()
    }))

  it('let one work without a mouse', () =>
    pages.visit('/admin', async page => {
      await causesAre(page, ['550', '300', '150'])
      await page.keyboard.press('j')
      await page.keyboard.press('j')
      await page.keyboard.press('k')
      expect(await page.evaluate('document.activeElement.closest("tr").textContent')).toContain('/payment/amount')
      await page.keyboard.press('e')
      await rowsBecome(page, 50)
      await page.keyboard.press('j')
      await page.keyboard.press('x')
      await page.keyboard.press('j')
      await page.keyboard.press('x')
      await page.getByText('2 selected').waitFor()
      await page.keyboard.press('r')
      await page.getByRole('heading', { name: 'Redrive 2 dead letters' }).waitFor()
      await page.keyboard.press('Escape')
      await page.keyboard.press('e')
      const title = page.locator('#letter-title')
      await title.waitFor()
      const before = await title.textContent()
      await page.keyboard.press('j')
      await expect.poll(() => title.textContent()).not.toBe(before)
      await page.keyboard.press('e')
      await rowsBecome(page, 50)
      await page.getByText('2 selected').waitFor()
      await page.keyboard.press('/')
      await page.keyboard.type('?jx')
      expect(await page.locator('#filter').inputValue()).toBe('?jx')
      await page.keyboard.press('Escape')
      await page.keyboard.press('?')
      await page.getByRole('heading', { name: 'Keys and filters' }).waitFor()
      await page.keyboard.press('Escape')
      await expect.poll(() => page.locator('dialog').count()).toBe(0)
    }))

  it('have their line for the shell', () =>
    pages.visit('/admin?view=list&q=state%3Aopen+pointer%3A%2Fpayment%2F*', async page => {
      const line = page.locator('#content > .cli code')
      await expect.poll(() => line.textContent()).toBe("bin/holdfast dlq ls --limit 50 'state:open pointer:/payment/*'")
      await page.locator('#view tbody input').first().check()
      await expect.poll(() => line.textContent()).toMatch(/^bin\/holdfast dlq ls id:orders-\d-\d+$/)
      await page.goto(`${pages.url}/admin`)
      await expect.poll(() => line.textContent()).toBe('bin/holdfast dlq stats state:open')
      await page.goto(`${pages.url}/admin?letter=orders-0-120012`)
      await expect.poll(() => line.textContent()).toBe('bin/holdfast dlq show orders-0-120012')
    }))
})

async function give(page: Page, key: string): Promise<void> {
  await page.locator('#key').fill(key)
  await page.keyboard.press('Enter')
}

async function filter(page: Page, text: string): Promise<void> {
  await page.locator('#filter').fill(text)
  await page.keyboard.press('Enter')
}

async function causesAre(page: Page, counts: readonly string[]): Promise<void> {
  await expect.poll(() => page.locator('#view tbody .count .big').allTextContents()).toEqual(counts)
}

async function rowsBecome(page: Page, count: number): Promise<void> {
  await expect.poll(() => page.locator('.letters tbody tr').count()).toBe(count)
}

function firstRow(page: Page): Promise<string | null> {
  return page.locator('#view tbody tr').first().getAttribute('data-row')
}

/** By partition, then by offset. */
function placeNumber(id: string): number {
  const [, partition, offset] = id.split('-').map(Number)
  return (partition ?? 0) * 1e9 + (offset ?? 0)
}

function focusedRow(page: Page): Promise<string> {
  return page.evaluate('document.activeElement.closest("[data-row]")?.dataset.row')
}
