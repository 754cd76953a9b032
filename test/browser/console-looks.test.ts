import type { Browser, Page, Request } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ConsolePages, KEY, startConsole } from './console-pages.ts'
import { type ConsoleStandIn, fillWith } from './console-stand-in.ts'
import { looksWell } from './looks.ts'
import { MODEL } from './pages.ts'
import { launchBrowser, openPage } from './support.ts'

let browser: Browser
let pages: ConsolePages

beforeAll(async () => {
  browser = await launchBrowser()
  pages = await startConsole(browser, {
    fill(inbox) {
      fillWith(inbox, 60)
      const at = new Date().toISOString()
      inbox.starts.push(
        { step: 19, version: '1.4.0', count: 3, at, deployed: true },
        { step: 22, version: '1.4.0', count: 1, at, deployed: false },
      )
      sayOfCauses(inbox, at)
    },
  })
})

afterAll(async () => {
  await browser?.close()
  await pages?.[Symbol.asyncDispose]()
})

const PHONE_WIDTH = 360

describe('in light and dark, on a large screen and on a phone, the console fits its window and can be used by anybody', () => {
  it('causes, letters with a selection, a faulty filter, nothing at all', () =>
    pages.visit('/admin', async page => {
      await page.locator('#view tbody tr').first().waitFor()
      await page.getByText('6 partitions, none paused').click()
      await looks(page, 'causes')
      await page.goto(`${pages.url}/admin?view=list&q=error%3Aformat`)
      await page.getByRole('button', { name: 'Would they pass now?' }).click()
      await page.getByText('would pass now').first().waitFor()
      await page.locator('#view tbody input').nth(1).check()
      await looks(page, 'letters')
      await page.goto(`${pages.url}/admin?q=reson%3Ax`)
      await page.locator('#filter-wrong mark').waitFor()
      await looks(page, 'faulty')
      await page.goto(`${pages.url}/admin?q=reason%3Atoo_large`)
      await page.getByText('Nothing matches').waitFor()
      await looks(page, 'nothing')
    }))

  it('what is known of a cause', () =>
    pages.visit('/admin', async page => {
      await page.locator('#view tbody tr').nth(1).getByRole('button', { name: 'Cause …' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByLabel('State').selectOption('snoozed for 24 hours')
      await dialog.getByLabel('Owner').fill('grace')
      await looks(page, 'cause')
    }))

  it('a dead letter, masked and in full, as JSON and as bytes', () =>
    pages.visit('/admin?letter=orders-0-120012', async page => {
      await page.locator('.violating').waitFor()
      await looks(page, 'letter')
      await page.getByRole('button', { name: 'Reveal (the audit log notes it)' }).click()
      await page.getByText('looked at in full').first().waitFor()
      await page.getByRole('button', { name: 'Hex' }).click()
      await looks(page, 'letter-hex')
    }))

  it('the questions: redrive, edit, discard, help', () =>
    pages.visit('/admin?letter=orders-0-120000', async page => {
      await page.locator('.violating').waitFor()
      for (const [name, words] of [
        ['Redrive …', 'is validated and stored'],
        ['Edit and redrive …', 'It would fail again:'],
        ['Discard …', 'set aside'],
      ] as const) {
        await page.getByRole('button', { name, exact: true }).click()
        await page.getByText(words).waitFor()
        await looks(page, name.split(' ')[0]?.toLowerCase() ?? '')
        await page.keyboard.press('Escape')
      }
      await page.keyboard.press('?')
      await looks(page, 'help')
    }))

  it('a redrive under way, all redrives, the audit log, a stream in trouble', () =>
    pages.visit('/admin?q=error%3Aformat', async page => {
      await page.getByRole('button', { name: 'Redrive all 18 …' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Redrive 18' }).click()
      await page.getByRole('heading', { name: 'What became of them' }).waitFor()
      pages.inbox.advance(new URL(page.url()).searchParams.get('replay') ?? '', 9)
      await page.locator('#view').getByText('9 of 18').waitFor()
      await looks(page, 'redrive')
      await page.getByRole('link', { name: 'Redrives', exact: true }).click()
      await page.locator('.redrives').waitFor()
      await looks(page, 'redrives')
      await page.getByRole('link', { name: 'Audit log' }).click()
      await page.locator('.audit').waitFor()
      await looks(page, 'audit')
      pages.inbox.glance.breakers = [{ dependency: 'postgres', open: true, reason: 'connection refused' }]
      pages.inbox.glance.partitions = (pages.inbox.glance.partitions ?? []).map(shown => ({
        ...shown,
        paused: ['storm_guard'],
      }))
      await page.getByRole('button', { name: 'Resume partition 0 …' }).waitFor()
      await looks(page, 'trouble')
    }))

  it('a redrive that has paused itself, the question before it ends, and one of which nothing was resolved', async () => {
    await using many = await startConsole(browser, { fill: inbox => fillWith(inbox, 200) })
    await many.visit('/admin?q=error%3Arequired', async page => {
      await page.getByRole('button', { name: 'Redrive all 110 …' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('0 of 110 would pass now').waitFor()
      await dialog.getByText('When it pauses and rests by itself').click()
      await looks(page, 'redrive-check')
      await dialog.getByLabel('Type 110 to confirm').fill('110')
      await dialog.getByRole('button', { name: 'Redrive 110' }).click()
      await page.getByRole('heading', { name: 'What became of them' }).waitFor()
      const id = new URL(page.url()).searchParams.get('replay') ?? ''
      many.inbox.failsCanary(id)
      await page.locator('#view .notice').waitFor()
      await looks(page, 'redrive-paused')
      await page.getByRole('button', { name: 'Cancel …' }).click()
      await dialog.getByText('dead letters are released').waitFor()
      await looks(page, 'redrive-cancel')
      await dialog.getByRole('button', { name: 'Let it be' }).click()
      await page.locator('#tabs').getByRole('link', { name: 'Dead letters' }).click()
      await page.locator('#redrive-bar').getByText('paused itself after the canary').waitFor()
      await page.locator('#view tbody tr').first().waitFor()
      await looks(page, 'redrive-bar')
      await page.locator('#redrive-bar').getByRole('link', { name: id }).click()
      await page.getByRole('button', { name: 'Resume' }).click()
      await page.locator('#view [data-state="running"]').waitFor()
      const paused = many.inbox.running.get(id)
      if (paused !== undefined) many.inbox.running.set(id, { ...paused, published: 0, resolved: 0, failed_again: 0 })
      many.inbox.advance(id, 110)
      await page.locator('#view').getByText('done, 110 of 110 failed again').waitFor()
      await looks(page, 'redrive-none')
    })
  })

  it('asking for the key', () =>
    pages.visitWithoutKey('/admin', async page => {
      await page.locator('#key').waitFor()
      await looks(page, 'console-key')
    }))
})

/** One of each kind: came back, snoozed with an owner and a note, new. */
function sayOfCauses(inbox: ConsoleStandIn, at: string): void {
  const amount = inbox.causeOf({ reason: 'schema_violation', error: 'required', pointer: '/payment/amount' })
  Object.assign(amount, { state: 'regressed', since: at, version: '1.4.0', owner: 'ada' })
  Object.assign(inbox.causeOf({ reason: 'schema_violation', error: 'format', pointer: '/delivery/email' }), {
    ...{ state: 'snoozed', snoozed_until: '2030-01-02T12:00:00.000Z', owner: 'the team of the web shop' },
    ...{ note: 'The form takes anything with an @. Ticket 4711; mended with 1.5.', changed_by: 'ada', changed_at: at },
  })
}

async function looks(page: Page, name: string): Promise<void> {
  await looksWell(page, `console-${name}`, { phoneWidth: PHONE_WIDTH })
}

describe('what other people wrote is only ever text', () => {
  const HOSTILE = `"'></script><script>window.broken=1</script><img src=x onerror="window.broken=1"> &lt; \u202Eשלום`

  it('in a value, a header, a message, a name and a reason', async () => {
    const value = Buffer.from(
      JSON.stringify({ ...MODEL, delivery: { [HOSTILE]: HOSTILE }, entry: 'x'.repeat(100_000) }),
    )
    await using hostile = await startConsole(browser, {
      fill(inbox) {
        const id = inbox.add({
          value,
          recordKey: Buffer.from(HOSTILE),
          key: HOSTILE,
          error: HOSTILE,
          pointer: `/delivery/${HOSTILE.replaceAll('/', '~1')}`,
          message: HOSTILE,
          violations: [{ pointer: `/delivery/${HOSTILE.replaceAll('/', '~1')}`, keyword: HOSTILE, message: HOSTILE }],
          source_topic: HOSTILE,
          group_id: HOSTILE,
        })
        const record = inbox.bytes.get(id)
        if (record !== undefined) {
          inbox.bytes.set(id, { ...record, headers: [...record.headers, [HOSTILE, Buffer.from(HOSTILE)]] })
        }
        inbox.events.set(id, [
          { at: '2026-01-01T00:00:00Z', what: 'discarded', who: HOSTILE, detail: { because: HOSTILE } },
        ])
        inbox.log.push({
          id: '1',
          at: '2026-01-01T00:00:00Z',
          stream: 'orders',
          who: HOSTILE,
          what: 'discard',
          filter: HOSTILE,
          because: HOSTILE,
          counts: { [HOSTILE]: HOSTILE },
        })
      },
    })
    await hostile.visit('/admin', async page => {
      const holds = async (times: number) => {
        const shown = (await page.locator('main').textContent()) ?? ''
        expect(shown.split(HOSTILE).length - 1).toBeGreaterThanOrEqual(times)
        expect(await page.evaluate('window.broken')).toBeUndefined()
        expect(await page.locator('main script, main img, dialog script, dialog img').count()).toBe(0)
        expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0)
      }
      await page.setViewportSize({ width: PHONE_WIDTH, height: 740 })
      await page.locator('#view tbody tr').waitFor()
      await holds(3)
      await page.getByRole('link', { name: 'Letters', exact: true }).click()
      await page.locator('.letters tbody tr').waitFor()
      await holds(3)
      await page.locator('[data-main]').click()
      await page.getByRole('button', { name: 'Reveal (the audit log notes it)' }).click()
      await page.getByText('99,602 more characters').waitFor()
      await holds(8)
      await page.getByRole('button', { name: 'Raw' }).click()
      await holds(8)
      await page.getByRole('button', { name: 'Edit and redrive …' }).click()
      await page.getByText('It would fail again:').waitFor()
      await holds(8)
      await page.keyboard.press('Escape')
      await page.getByRole('link', { name: 'Audit log' }).click()
      await page.locator('.audit').waitFor()
      await holds(4)
      await page.goto(`${hostile.url}/admin?view=list&q=${encodeURIComponent(HOSTILE)}`)
      await page.locator('#filter-wrong mark').waitFor()
      await holds(1)
    })
  })
})

describe('the way over a bad line', () => {
  /** All of the page: the document, styles, scripts and the icon, as they come over the wire. */
  const MOST_BYTES = 142_000

  it('is short', async () => {
    const { page, close } = await openPage(browser)
    const files: Request[] = []
    page.on('requestfinished', request => {
      if (['document', 'stylesheet', 'script', 'image'].includes(request.resourceType())) files.push(request)
    })
    await page.addInitScript(`sessionStorage.setItem('holdfast.key', ${JSON.stringify(KEY)})`)
    await page.goto(`${pages.url}/admin`)
    await page.locator('#view tbody tr').first().waitFor()
    const sizes = await Promise.all(files.map(file => file.sizes()))
    const bytes = sizes.reduce((sum, { responseBodySize, responseHeadersSize }) => {
      return sum + responseBodySize + responseHeadersSize
    }, 0)
    await close()
    expect(sizes.length).toBeGreaterThan(20)
    expect(bytes).toBeLessThan(MOST_BYTES)
  })
})
