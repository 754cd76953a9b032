import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ConsolePages, startConsole } from './console-pages.ts'
import { fillWith, fillWithThousand } from './console-stand-in.ts'
import { MODEL } from './pages.ts'
import { launchBrowser } from './support.ts'

let browser: Browser
let pages: ConsolePages

beforeAll(async () => {
  browser = await launchBrowser()
})
beforeEach(async () => {
  await pages?.[Symbol.asyncDispose]()
  pages = await startConsole(browser, { fill: fillWithThousand })
})
afterAll(async () => {
  await browser?.close()
  await pages?.[Symbol.asyncDispose]()
})

const EMAIL = '/admin?view=list&q=state%3Aopen+error%3Aformat'

describe('a redrive', () => {
  it('is previewed in words, confirmed with its number, and followed to its end', () =>
    pages.visit(EMAIL, async page => {
      await page.getByRole('button', { name: 'Redrive all 300 …' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('300 dead letters are validated and stored, in about 3 s').waitFor()
      await dialog.getByText('120 of 300 would pass now; 180 would fail again (format /delivery/email).').waitFor()
      await dialog.getByText('The oldest failed 3 h 5').waitFor()
      await dialog.getByLabel('Records a second').fill('50')
      await dialog.getByText('in about 6 s').waitFor()
      await dialog.getByLabel('Publish to the topic').check()
      await dialog.getByText('are published again to their topic, in about 6 s').waitFor()
      expect(await dialog.locator('.cli code').textContent()).toContain('redrive --to topic --rate 50/s')
      await dialog.getByLabel('Publish to the topic').uncheck()
      await dialog.getByLabel('Why').fill('the producer is mended')
      expect(await dialog.locator('.cli code').textContent()).toBe(
        "bin/holdfast dlq redrive --rate 50/s 'state:open error:format'",
      )
      await dialog.getByRole('button', { name: 'Redrive 300' }).click()
      await dialog.getByText('type the number to confirm').waitFor()
      await dialog.getByLabel('Type 300 to confirm').fill('300')
      await dialog.getByRole('button', { name: 'Redrive 300' }).click()

      const id = await taskOf(page)
      await progressIs(page, '0 of 300 settled.')
      pages.inbox.advance(id, 140)
      await progressIs(page, '140 of 300 settled')
      expect(await outcomes(page)).toEqual({ resolved: 56, failed_again: 84, pending: 160 })
      expect(await page.getByRole('progressbar').getAttribute('aria-valuetext')).toBe('140 of 300 settled')
      expect(await said(page)).toContain('running: 140 of 300 settled')
      pages.inbox.advance(id, 160)
      await page.locator('#view [data-state="done"]').getByText('done, 120 of 300 resolved').waitFor()
      expect(await said(page)).toContain('done, 120 of 300 resolved: 300 of 300 settled, 120 resolved')
      expect(await page.getByRole('button', { name: 'Cancel' }).count()).toBe(0)
      await page.reload()
      await page.locator('#view [data-state="done"]').waitFor()
      expect(await page.locator('[data-card="About it"]').textContent()).toContain('the producer is mended')

      await page.getByRole('link', { name: 'Failed again' }).click()
      await page.getByText('180 dead letters').waitFor()
      expect(await page.locator('#view tbody tr').first().textContent()).toContain('failed again')
      await page.getByRole('link', { name: 'Redrives' }).click()
      expect(await page.locator('.redrives tbody').textContent()).toContain('300 of 300')
    }))

  it('takes only those that pass, when a check has told which', () =>
    pages.visit(EMAIL, async page => {
      await page.getByRole('button', { name: 'Would they pass now?' }).click()
      await page.getByText('Of 300 dead letters, 120 would pass now, 180 would not.').waitFor()
      const verdicts = await page.locator('#view td .verdict').allTextContents()
      expect(verdicts).toContain('yes')
      expect(verdicts).toContain('noformat at /delivery/email')
      await page.getByRole('button', { name: 'Redrive only those that pass' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('Left out: 180 would not pass now.').waitFor()
      await dialog.getByLabel('Type 120 to confirm').fill('120')
      await dialog.getByRole('button', { name: 'Redrive 120' }).click()
      const id = await taskOf(page)
      pages.inbox.advance(id, 120)
      await page.locator('#view [data-state="done"]').waitFor()
      expect(await outcomes(page)).toEqual({ resolved: 120 })
    }))

  it('of more than one answer holds is checked to the end, or until somebody has seen enough', async () => {
    await using many = await startConsole(browser, { fill: inbox => fillWith(inbox, 12_000) })
    await many.visit('/admin?view=list&sort=failed_at', async page => {
      let answer = () => {}
      let asked = 0
      await page.route('**/admin/dead-letters/check', async route => {
        asked += 1
        if (asked === 2) await new Promise<void>(resolve => (answer = resolve))
        await route.continue()
      })
      const check = page.getByRole('button', { name: 'Would they pass now?' })
      await check.click()
      await page.getByText('5,000 of 12,000 read, 600 would pass …').waitFor()
      // What is on the screen is checked first, whatever the list goes by.
      expect(await page.locator('#view td .verdict').count()).toBe(50)
      await expect.poll(() => asked).toBe(2)
      await page.getByRole('button', { name: 'Stop' }).click()
      await page.getByText('Stopped. Of 5,000 dead letters, 600 would pass now, 4,400 would not.').waitFor()
      expect(await page.evaluate('document.activeElement.textContent')).toBe('Redrive only those that pass')
      answer()
      await check.click()
      await page.getByText('Of 12,000 dead letters, 1,440 would pass now, 10,560 would not.').waitFor()
      expect(asked).toBe(5)
      await page.getByRole('button', { name: 'Redrive only those that pass' }).click()
      await page.getByRole('dialog').getByText('Left out: 10,560 would not pass now.').waitFor()
      await page.keyboard.press('Escape')
    })
  })

  it('takes what is selected, by box and by range, and no more', () =>
    pages.visit(EMAIL, async page => {
      const boxes = page.locator('#view tbody input')
      await boxes.nth(2).click()
      await boxes.nth(6).click({ modifiers: ['Shift'] })
      await boxes.nth(4).click()
      const region = page.getByRole('region', { name: 'Selection' })
      await region.getByText('4 selected').waitFor()
      const ids = await page
        .locator('#view tr.selected')
        .evaluateAll(rows => rows.map(row => row.getAttribute('data-row')))
      await region.getByRole('button', { name: 'Redrive 4 …' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Redrive 4' }).click()
      const id = await taskOf(page)
      expect(pages.inbox.running.get(id)?.filter).toBe(`id:${ids.join()}`)
      expect(pages.inbox.running.get(id)?.total).toBe(4)
    }))

  it('is paused, resumed and cancelled by whoever looks at it', () =>
    pages.visit('/admin?q=error%3Aformat', async page => {
      const id = await redriveAll(page, 300)
      pages.inbox.advance(id, 100)
      await page.getByRole('button', { name: 'Pause' }).click()
      await page.locator('#view [data-state="paused"]').waitFor()
      await line(page, `bin/holdfast dlq redrive --resume ${id}`)
      await page.getByRole('button', { name: 'Resume' }).click()
      await page.locator('#view [data-state="running"]').waitFor()
      await page.getByRole('button', { name: 'Cancel …' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('100 of 300 settled: that stays so. 200 dead letters are released').waitFor()
      await dialog.getByRole('button', { name: 'Let it be' }).click()
      expect(pages.inbox.running.get(id)?.state).toBe('running')
      await page.getByRole('button', { name: 'Cancel …' }).click()
      await dialog.getByLabel('Why').fill('the wrong filter')
      expect(await dialog.locator('.cli code').textContent()).toBe(`bin/holdfast dlq cancel ${id}`)
      await dialog.getByRole('button', { name: 'Cancel the redrive' }).click()
      await page.locator('#view [data-state="cancelled"]').waitFor()
      expect(pages.inbox.log.at(-1)).toMatchObject({ what: 'replay_cancel', because: 'the wrong filter' })
      // What was told of it just before may arrive just after, for a moment.
      await expect.poll(() => page.locator('.letter-head button').count()).toBe(0)
      // Each of the 300 is in a row: those whose turn had not come are open as before.
      await expect.poll(() => outcomes(page)).toMatchObject({ released: 200 })
      expect(await outcomes(page)).not.toHaveProperty('pending')
      await page.getByRole('link', { name: '← All redrives' }).click()
      await page.locator('.redrives', { hasText: '100 of 300200 released' }).waitFor()
    }))

  it('pauses itself when too many fail again, says why, and goes on when a person says so', () =>
    pages.visit('/admin?q=error%3Aformat', async page => {
      await page.getByRole('button', { name: 'Redrive all 300 …' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('When it pauses and rests by itself').click()
      await dialog.getByLabel('Canary').fill('50')
      await dialog.getByLabel('Failures in a row').fill('5')
      await dialog.getByLabel('Lag, in seconds').fill('0')
      expect(await dialog.locator('.cli code').textContent()).toBe(
        'bin/holdfast dlq redrive --canary 50 --max-failures 5 --yield-above off error:format',
      )
      await dialog.getByLabel('Type 300 to confirm').fill('300')
      await dialog.getByRole('button', { name: 'Redrive 300' }).click()
      const id = await taskOf(page)
      expect(pages.inbox.running.get(id)).toMatchObject({ canary: 50, max_failures: 5, yield_above: 0 })
      const about = page.locator('[data-card="About it"]')
      await about.getByText('when more than 5 in a row fail again').waitFor()

      pages.inbox.failsCanary(id)
      const words = 'paused itself after the canary: 25 of 50 failed again with schema_violation format /delivery/email'
      await page.locator('#view .notice', { hasText: words }).waitFor()
      expect(await page.locator('.redrive-state').textContent()).toBe('paused itself')
      const look = page.getByRole('link', { name: 'Look at them' })
      expect(await look.getAttribute('href')).toContain(`replay%3A${id}+reason%3Aschema_violation`)
      await page.getByRole('button', { name: 'Resume' }).click()
      await page.locator('#view [data-state="running"]').waitFor()
      await expect.poll(() => page.locator('#view .notice').count()).toBe(0)
    }))

  it('of which nothing was resolved is not shown as a success', () =>
    pages.visit('/admin?q=error%3Arequired', async page => {
      await page.getByRole('button', { name: 'Redrive all 550 …' }).click()
      const dialog = page.getByRole('dialog')
      const check = dialog.getByText('0 of 550 would pass now; 550 would fail again (required /payment/amount).')
      expect(await check.getAttribute('data-verdict')).toBe('none')
      await dialog.getByLabel('Type 550 to confirm').fill('550')
      await dialog.getByRole('button', { name: 'Redrive 550' }).click()
      const id = await taskOf(page)
      pages.inbox.advance(id, 550)
      const state = page.locator('.redrive-state .state')
      await expect.poll(() => state.textContent()).toBe('done, 550 of 550 failed again')
      expect(await colourOf(state)).toBe(await colourNamed(page, '--bad'))
      await page.getByRole('link', { name: '← All redrives' }).click()
      const listed = page.locator('.redrives .state')
      expect(await listed.textContent()).toBe('done, 550 of 550 failed again')
      expect(await colourOf(listed)).toBe(await colourNamed(page, '--bad'))
    }))

  it('is shown on every tab while it is under way or paused, and can be paused there', () =>
    pages.visit('/admin?q=error%3Aformat', async page => {
      const id = await redriveAll(page, 300)
      const bar = page.getByRole('region', { name: 'Redrives under way or paused' })
      expect(await bar.count()).toBe(0)
      for (const tab of ['Dead letters', 'Redrives', 'Audit log']) {
        await page.locator('#tabs').getByRole('link', { name: tab }).click()
        await bar.getByText('0 of 300 settled, 0 resolved.').waitFor()
      }
      pages.inbox.advance(id, 140)
      await bar.getByText('140 of 300 settled, 56 resolved, 84 failed again.').waitFor()
      pages.inbox.rests(id, 34)
      await bar.getByText('rests: the stream is 34 s behind, and it goes on below 10 s').waitFor()
      pages.inbox.rests(id, undefined)
      await bar.locator('[data-state="running"]').getByText('running', { exact: true }).waitFor()
      await bar.getByRole('button', { name: 'Pause' }).click()
      await bar.locator('[data-state="paused"]').waitFor()
      await page.reload()
      await bar.getByRole('button', { name: 'Resume' }).click()
      await bar.locator('[data-state="running"]').waitFor()
      await bar.getByRole('link', { name: id }).click()
      expect(await taskOf(page)).toBe(id)
      expect(await bar.count()).toBe(0)
      await page.locator('#tabs').getByRole('link', { name: 'Audit log' }).click()
      await bar.waitFor()
      pages.inbox.advance(id, 160)
      await bar.waitFor({ state: 'hidden' })
    }))

  it('is not set back by an answer that comes late', () =>
    pages.visit('/admin?q=error%3Aformat', async page => {
      const id = await redriveAll(page, 300)
      const held = Promise.withResolvers<void>()
      await page.route(`**/admin/replays/${id}`, async route => {
        const response = await route.fetch()
        await held.promise
        await route.fulfill({ response })
      })
      await page.reload()
      await progressIs(page, '0 of 300 settled.')
      pages.inbox.advance(id, 300)
      await page.locator('#view [data-state="done"]').waitFor()
      const late = page.waitForResponse(`**/admin/replays/${id}`)
      held.resolve()
      await (await late).finished()
      // Two frames: whatever the page does about it has been done by then.
      await page.evaluate('new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')
      expect(await page.locator('#view [data-state="done"]').count()).toBe(1)
    }))

  it('of somebody else that is under way is told, with the way to it', () =>
    pages.visit('/admin?q=error%3Aformat', async page => {
      const id = await redriveAll(page, 300)
      pages.inbox.advance(id, 20)
      await page.goto(`${pages.url}/admin?view=list`)
      await page.locator('#view tbody input').first().click()
      await page.getByRole('button', { name: 'Redrive 1 …' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByRole('button', { name: 'Redrive 1' }).click()
      await dialog.getByText('A redrive of ada is running: 20 of 300 settled.').waitFor()
      await dialog.getByRole('link', { name: 'Look at it' }).click()
      expect(await taskOf(page)).toBe(id)
      await progressIs(page, '20 of 300 settled')
    }))

  it('of nothing is not offered to be confirmed', () =>
    pages.visit('/admin?q=error%3Anot_utf8', async page => {
      for (const row of pages.inbox.rows.values()) if (row.error === 'not_utf8') row.state = 'resolved'
      await page.getByRole('button', { name: 'Redrive all 150 …' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByRole('heading', { name: 'Nothing to redrive' }).waitFor()
      await dialog.getByText('Left out: 150 not open').waitFor()
    }))
})

describe('an edited value', () => {
  it('is shown as it will be published, checked while it is typed, and replaces the original in the redrive', () =>
    pages.visit('/admin?letter=orders-0-120000', async page => {
      await page.getByRole('button', { name: 'Edit and redrive …' }).click()
      const dialog = page.getByRole('dialog')
      const value = dialog.getByLabel('Value')
      await dialog.getByText('It would fail again:').waitFor()
      await dialog.getByText('/payment/amount is missing').waitFor()
      expect(await dialog.locator('.cli code').textContent()).toBe(
        'bin/holdfast dlq redrive --edit value.json id:orders-0-120000',
      )
      const original = await value.inputValue()
      // In full: what is masked would otherwise be published masked.
      expect(original).toContain(MODEL.delivery.name)
      expect(original).not.toContain('•')

      await value.fill(original.replace('"currency": "USD",', '"currency": "USD",\n    "amount": "much",'))
      await dialog.getByRole('button', { name: 'Line 18' }).waitFor()
      await dialog.getByText('/payment/amount must be an integer').waitFor()
      await dialog.getByRole('button', { name: 'Redrive the edited value' }).click()
      await dialog.getByText('It has to pass the check first.').waitFor()
      await value.fill(original.replace('"currency": "USD",', '"currency": "USD",\n    "amount": 1817,'))
      await dialog.getByText('It passes.').waitFor()
      expect(await dialog.locator('.diff li[data-kind="+"]').allTextContents()).toEqual([
        'after: +     "amount": 1817,',
      ])
      expect(await dialog.locator('.diff li[data-kind="-"]').count()).toBe(0)
      await dialog.getByRole('button', { name: 'Redrive the edited value' }).click()

      const id = await taskOf(page)
      expect(pages.inbox.running.get(id)).toMatchObject({ edited: true, total: 1, filter: 'id:orders-0-120000' })
      pages.inbox.advance(id, 1)
      await page.locator('#view [data-state="done"]').waitFor()
      await page.getByText('yes: with another value than the original').waitFor()
    }))
})

describe('a discard', () => {
  it('needs a reason and, for many, the number; and can be undone at once', () =>
    pages.visit('/admin?q=state%3Aopen+error%3Anot_utf8', async page => {
      await page.getByRole('button', { name: 'Discard all 150 …' }).click()
      const dialog = page.getByRole('dialog')
      const go = dialog.getByRole('button', { name: 'Discard 150' })
      await go.click()
      await dialog.getByText('Say why').waitFor()
      await dialog.getByLabel('Why').fill('a test of the producer')
      await go.click()
      await dialog.getByText('type the number to confirm').waitFor()
      expect(await dialog.locator('.cli code').textContent()).toBe(
        "bin/holdfast dlq discard --because 'a test of the producer' 'state:open error:not_utf8'",
      )
      await dialog.getByLabel('Type 150 to confirm').fill('150')
      await go.click()
      await page.getByText('150 dead letters discarded: a test of the producer').waitFor()
      await page.getByText('Nothing matches this filter').waitFor()
      await page.getByRole('button', { name: 'Undo' }).click()
      await page.getByText('150 dead letters reopened.').waitFor()
      await page.locator('#view tbody tr').waitFor()
    }))

  it('can be undone later from the audit log', () =>
    pages.visit('/admin?letter=orders-0-120000', async page => {
      await page.getByRole('button', { name: 'Discard …' }).click()
      await page.getByLabel('Why').fill('no longer of use')
      await page.getByRole('button', { name: 'Discard 1', exact: true }).click()
      await page.locator('#view .meta [data-state="discarded"]').waitFor()
      expect(await page.getByRole('button', { name: 'Redrive …' }).count()).toBe(0)
      await page.goto(`${pages.url}/admin?view=audit`)
      const entry = page.locator('#view tbody tr').first()
      await entry.getByText('no longer of use').waitFor()
      await entry.getByRole('button', { name: 'Undo' }).click()
      await page.getByText('1 dead letter reopened.').waitFor()
      expect(pages.inbox.rows.get('orders-0-120000')?.state).toBe('open')
    }))
})

describe('the stream', () => {
  it('says what is wrong in a sentence, and goes on when an operator says so and why', () =>
    pages.visit('/admin', async page => {
      await page
        .getByText('Running and up to date. 3 causes are new. 1,000 dead letters are open, the oldest for 4 h')
        .waitFor()
      const figures = await page.locator('.glance .figure').allTextContents()
      expect(figures.slice(0, 4)).toEqual([
        'Settled1,240records a second',
        'Lag0.4 s312 records',
        'Breakersclosed3 dependencies answer',
        expect.stringMatching(/^Open dead letters1,000oldest 4 h/),
      ])
      const partitions = pages.inbox.glance.partitions ?? []
      pages.inbox.glance.partitions = partitions.map(shown =>
        shown.partition === 2 ? { ...shown, paused: ['storm_guard'] } : shown,
      )
      await page.getByText('Partition 2 stands still and waits for you to decide.').waitFor()
      await page.getByText('6 partitions, 1 paused').click()
      await page.getByText('stopped by the storm guard: too many dead letters in a row').waitFor()
      const second = page.locator('.partitions tbody tr').nth(2)
      expect(await second.locator('td').allTextContents()).toEqual([
        ...['2', '120434', '120486', '52 · 0.4 s', 'stopped by the storm guard: too many dead letters in a row'],
        'Pause partition 2 …',
      ])
      await page.getByRole('button', { name: 'Resume partition 2 …' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByRole('button', { name: 'Resume' }).click()
      await dialog.getByText('Say why').waitFor()
      await dialog.getByLabel('Why').fill('the producer was rolled back')
      pages.inbox.glance.partitions = partitions
      await dialog.getByRole('button', { name: 'Resume' }).click()
      await page.getByText('Partition 2 resumed.').waitFor()
      await page.getByText('6 partitions, none paused').waitFor()
      expect(pages.inbox.log.at(-1)).toMatchObject({
        what: 'resume',
        who: 'ada',
        because: 'the producer was rolled back',
      })
    }))

  it('takes what is not known for unknown, and for neither zero nor health', () =>
    pages.visit('/admin?view=replays', async page => {
      await page.getByText('Running and up to date.').waitFor()
      const nothing = { rate: null, lag_records: null, lag_seconds: null, dead_letters: null, automatic_redrive: null }
      const partitions = (pages.inbox.glance.partitions ?? []).map(one => ({
        ...one,
        ...{ high: null, lag_records: null, lag_seconds: null, last_progress_at: null },
      }))
      Object.assign(pages.inbox.glance, { ...nothing, partitions })
      await page.locator('.sign', { hasText: 'Attention' }).waitFor()
      await page
        .getByText('Running; how far behind is not known. How many dead letters are open is not known.')
        .waitFor()
      expect(await page.locator('.figure .big').allTextContents()).toEqual(['–', '–', 'closed', '–'])
      await page.getByText('Whether it is on is not known').waitFor()
      expect(await page.getByRole('switch').count()).toBe(0)
    }))

  it('tells which dependency is away, and for how long', () =>
    pages.visit('/admin', async page => {
      const since = new Date(Date.now() - 130_000).toISOString()
      pages.inbox.glance.breakers = [{ dependency: 'postgres', open: true, reason: 'connection refused', since }]
      await page.getByText('Postgres has been unreachable for 2 min.').waitFor()
      expect(await page.locator('.alarming').textContent()).toContain('postgres: connection refused')
    }))

  it('turns automatic redrive on and off, and shows which', () =>
    pages.visit('/admin?view=replays', async page => {
      const turn = page.getByRole('switch', { name: 'Automatic redrive' })
      await expect.poll(() => turn.getAttribute('aria-checked')).toBe('false')
      await turn.click()
      await page.getByRole('button', { name: 'Turn it on' }).click()
      await expect.poll(() => turn.getAttribute('aria-checked')).toBe('true')
      await expect.poll(() => turn.textContent()).toBe('on')
      await page.getByText('Turned on by ada.').waitFor()
      await turn.click()
      await page.getByRole('button', { name: 'Turn it off' }).click()
      await expect.poll(() => turn.getAttribute('aria-checked')).toBe('false')
    }))
})

describe('when the service is away', () => {
  it('says so, keeps what it shows, and catches up by itself', () =>
    pages.visit('/admin?view=audit', async page => {
      const by = { who: 'ben', because: 'a drill' }
      await pages.inbox.automatic.set(true, by)
      await page.reload()
      const rows = page.locator('#view tbody tr')
      await expect.poll(() => rows.count()).toBe(1)
      // The stream of events is open: one that is only being opened could not be cut.
      await page.locator('#connection[data-was="on"]').waitFor({ state: 'attached' })
      await page.route('**/admin/**', route => route.abort())
      pages.dropWatchers()
      await page.locator('#connection', { hasText: 'Not connected just now: what you see was sent' }).waitFor()
      expect(await rows.count()).toBe(1)
      await pages.inbox.automatic.set(false, by)
      await page.unroute('**/admin/**')
      await expect.poll(() => rows.count()).toBe(2)
      await page.locator('#connection').waitFor({ state: 'hidden' })
    }))

  it('tells an outage of the database from one of the network, and tries again', () =>
    pages.visit('/admin?view=audit', async page => {
      await page.getByText('Nothing is noted yet').waitFor()
      const away = JSON.stringify({
        status: 503,
        code: 'store_unavailable',
        detail: 'Postgres cannot be reached just now.',
      })
      await page.route('**/admin/dead-letters/groups*', route =>
        route.fulfill({ status: 503, body: away, contentType: 'application/problem+json' }),
      )
      await page.getByRole('link', { name: 'Dead letters', exact: true }).click()
      await page.getByRole('heading', { name: 'Not available just now' }).waitFor()
      await page.locator('#view').getByText('Postgres cannot be reached just now.').waitFor()
      await page.unroute('**/admin/dead-letters/groups*')
      await page.getByRole('button', { name: 'Try again' }).click()
      await page.locator('#view tbody tr').first().waitFor()
      await expect.poll(() => page.locator('#view').getByText('Not available just now').count()).toBe(0)
    }))
})

/** Starts a redrive of all that is shown, and waits for its page. @returns its id */
async function redriveAll(page: Page, count: number): Promise<string> {
  await page.getByRole('button', { name: `Redrive all ${count} …` }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel(`Type ${count} to confirm`).fill(String(count))
  await dialog.getByRole('button', { name: `Redrive ${count}` }).click()
  return await taskOf(page)
}

async function taskOf(page: Page): Promise<string> {
  await page.getByRole('heading', { name: 'What became of them' }).waitFor()
  return new URL(page.url()).searchParams.get('replay') ?? ''
}

async function progressIs(page: Page, words: string): Promise<void> {
  await page.locator('#view').getByText(words).waitFor()
}

/** Those that are not zero. */
async function outcomes(page: Page): Promise<Record<string, number>> {
  const rows = await page
    .locator('.outcomes tr[data-part]')
    .evaluateAll(rows =>
      rows.map(row => [row.getAttribute('data-part') ?? '', row.querySelector('.number')?.textContent]),
    )
  return Object.fromEntries(
    rows.map(([name, count]) => [name, Number(count)] as const).filter(([, count]) => count > 0),
  )
}

async function colourOf(locator: Locator): Promise<string> {
  return await locator.evaluate(element => element.ownerDocument.defaultView?.getComputedStyle(element).color ?? '')
}

/** A colour of the style sheet, as the browser computes it. */
async function colourNamed(page: Page, name: string): Promise<string> {
  return await page.evaluate(
    `(() => { const probe = document.createElement('i'); probe.style.color = 'var(${name})'; document.body.append(probe);
      const { color } = getComputedStyle(probe); probe.remove(); return color })()`,
  )
}

async function said(page: Page): Promise<string> {
  return (await page.locator('#said').textContent()) ?? ''
}

async function line(page: Page, words: string): Promise<void> {
  await expect.poll(() => page.locator('#content > .cli code').textContent()).toBe(words)
}
