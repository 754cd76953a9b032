import { createHash } from 'node:crypto'
import type { Browser, Request } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LetterOfKey } from '#src/engine/dead-letter-hint.ts'
import { RESOLVED_LETTER } from '../support/http-parts.ts'
import { looksWell } from './looks.ts'
import { MODEL, type Pages, resultWith, STORE_IS_AWAY, startPages, UID } from './pages.ts'
import { launchBrowser } from './support.ts'

const LARGE = {
  ...MODEL,
  order_uid: 'large',
  payment: { ...MODEL.payment, amount: 1_234_567, goods_total: 951, custom_fee: 40 },
  items: [0, 1, 2].map(position => ({ ...MODEL.items[0], chrt_id: position, brand: 'Ærø & Søn' })),
}

let browser: Browser
let pages: Pages

beforeAll(async () => {
  browser = await launchBrowser()
  pages = await startPages(browser, { orders: [MODEL, LARGE] })
})

afterAll(async () => {
  await browser?.close()
  await pages?.[Symbol.asyncDispose]()
})

describe('the order page', () => {
  it('shows an order whose uid is pasted with spaces and quotes, at an address that can be kept', () =>
    pages.visit('/', async page => {
      await page.locator('#uid').fill(`  "${UID}",\n`)
      await page.keyboard.press('Enter')
      const shown = await resultWith(page, 'Test Testov')
      for (const part of [
        'Kiryat Mozkin',
        '+9720000000',
        '1,817 USD',
        '1,500 USD',
        'Mascaras',
        'Vivienne Sabo',
        '202',
      ]) {
        expect(shown).toContain(part)
      }
      expect(shown).toContain('26 Nov 2021, 06:22:19 UTC')
      expect(page.url()).toBe(`${pages.url}/?uid=${UID}`)
      expect(await page.title()).toContain(UID)
      expect(await page.locator('#status').textContent()).toContain('found')
    }))

  it('tells whether the answer came from the database or from memory', () =>
    pages.visit('/?uid=large', async page => {
      await resultWith(page, 'From the database')
      await page.reload()
      const shown = await resultWith(page, 'From memory')
      expect(shown).toMatch(/\d ms/)
    }))

  it('tells where the record stands, and nothing of dead letters to those who may only read', () =>
    pages.visit(`/?uid=${UID}`, async page => {
      const shown = await page.locator('.story').textContent()
      expect(shown).toMatch(/partition 0, offset \d+/)
      expect(shown).toContain('2 Jan 2026, 03:04:05 UTC')
      expect(shown).not.toContain('dead letter')
    }))

  it('tells an operator what became of the dead letters of its key', async () => {
    const key = 'rules'
    const sha256 = createHash('sha256').update(key).digest('hex')
    const letter: LetterOfKey = {
      ...RESOLVED_LETTER,
      events: [
        { at: '2026-01-01T00:00:00.000Z', what: 'failed', who: null, redrive: null },
        { at: '2026-01-01T01:00:00.000Z', what: 'resolved', who: 'ada', redrive: 'r4x0c2m8ab' },
      ],
    }
    await using locked = await startPages(browser, {
      orders: [MODEL],
      keys: [{ name: 'ops', role: 'admin', sha256 }],
      keyless: 'nobody',
      letters: { [UID]: [letter] },
    })
    await locked.visit(`/?uid=${UID}`, async page => {
      await page.locator('#key').fill(key)
      await page.keyboard.press('Enter')
      const story = page.locator('.story')
      await story.getByRole('link', { name: 'orders-0-3' }).waitFor()
      expect(await story.textContent()).toContain('resolved; schema_violation (required at /payment/bank)')
      expect(await story.getByRole('link').nth(0).getAttribute('href')).toBe('/admin?letter=orders-0-3')
      expect(await story.getByRole('link').nth(1).getAttribute('href')).toBe('/admin?replay=r4x0c2m8ab')
      await looksWell(page, 'story')
    })
  })

  it('keeps a key that was typed while a request without one was under way', async () => {
    const key = 'late'
    const sha256 = createHash('sha256').update(key).digest('hex')
    await using locked = await startPages(browser, {
      orders: [MODEL],
      keys: [{ name: 'ops', role: 'read', sha256 }],
      keyless: 'nobody',
    })
    await locked.visit('/', async page => {
      const typed = Promise.withResolvers<void>()
      const asksForOrder = (url: URL) => url.pathname === `/order/${UID}`
      await page.route(asksForOrder, async route => {
        const answer = await route.fetch()
        if (answer.status() === 401) await typed.promise
        await route.fulfill({ response: answer })
      })
      await page.locator('#key-form').waitFor()
      await page.locator('#uid').fill(UID)
      const asked = page.waitForRequest(request => asksForOrder(new URL(request.url())))
      await page.locator('#uid').press('Enter')
      await asked
      await page.locator('#key').fill(key)
      await page.locator('#key').press('Enter')
      typed.resolve()
      await resultWith(page, 'Test Testov')
      expect(await page.locator('#key-form').isHidden()).toBe(true)
    })
  })

  it('finds the orders of a customer and of a day, at an address that can be kept', () =>
    pages.visit('/', async page => {
      await page.getByLabel('Customer id').fill(MODEL.customer_id)
      await page.getByLabel('From', { exact: true }).fill('2021-11-26')
      await page.getByLabel('To', { exact: true }).fill('2021-11-26')
      const asked = page.waitForRequest(request => request.url().includes('/orders?customer_id='))
      await page.getByRole('button', { name: 'List', exact: true }).click()
      const { searchParams } = new URL((await asked).url())
      expect(searchParams.get('from')).toBe('2021-11-26T00:00:00.000Z')
      expect(searchParams.get('to')).toBe('2021-11-27T00:00:00.000Z')
      await page.locator('.found a', { hasText: UID }).waitFor()
      expect(page.url()).toBe(`${pages.url}/?customer_id=${MODEL.customer_id}&from=2021-11-26&to=2021-11-26`)
      await page.locator('.found a', { hasText: UID }).click()
      await resultWith(page, 'Test Testov')
      await page.goBack()
      await page.locator('.found a', { hasText: UID }).waitFor()
      expect(await page.getByLabel('Customer id').inputValue()).toBe(MODEL.customer_id)
    }))

  it('points at sums that do not add up', () =>
    pages.visit('/?uid=large', async page => {
      const shown = await resultWith(page, '1,234,567 USD')
      expect(shown).toContain('The parts add up to 2,491 USD.')
      expect(await page.getByRole('heading', { name: '3 items' }).count()).toBe(1)
    }))

  it('shows the JSON as it was served, and copies it', () =>
    pages.visit(
      `/?uid=${UID}`,
      async page => {
        await resultWith(page, 'Test Testov')
        await page.locator('summary').click()
        expect(JSON.parse((await page.locator('#json').textContent()) ?? '')).toEqual(MODEL)
        await page.locator('#copy').click()
        await page.getByText('Copied').waitFor()
        // The tests have no DOM types: the script goes over as text.
        expect(JSON.parse(await page.evaluate('navigator.clipboard.readText()'))).toEqual(MODEL)
      },
      { permissions: ['clipboard-read', 'clipboard-write'] },
    ))

  it.each([
    ['nobody', 'No order has this uid'],
    ['not%20<a>%20uid!', 'This is not an order uid'],
    [STORE_IS_AWAY, 'The database cannot be reached just now'],
  ])('says in plain words what is wrong: %s', (uid, words) =>
    pages.visit(`/?uid=${uid}`, async page => {
      await resultWith(page, words)
      expect(await page.locator('#status').textContent()).toContain(words)
    }),
  )

  it('says that the service does not answer, and tries again when asked', () =>
    pages.visit('/', async page => {
      await page.route('**/order/*', route => route.abort())
      await page.locator('#uid').fill(UID)
      await page.keyboard.press('Enter')
      await resultWith(page, 'The service did not answer')
      await page.unroute('**/order/*')
      await page.getByRole('button', { name: 'Try again' }).click()
      await resultWith(page, 'Test Testov')
    }))

  it('can be used by keyboard alone', () =>
    pages.visit('/', async page => {
      await page.keyboard.type('nobody')
      await page.keyboard.press('Enter')
      await resultWith(page, 'No order has this uid')
      // To the button, and back by the short cut.
      await page.keyboard.press('Tab')
      await page.keyboard.press('/')
      await page.keyboard.type(UID)
      await page.keyboard.press('Enter')
      await resultWith(page, 'Test Testov')
      await page.goBack()
      await resultWith(page, 'No order has this uid')
      expect(await page.locator('#uid').inputValue()).toBe('nobody')
    }))

  it('offers the sample order', () =>
    pages.visit('/', async page => {
      await page.locator('#example').click()
      await resultWith(page, 'Test Testov')
    }))

  it('does not let a slow answer overtake a newer one', () =>
    pages.visit('/', async page => {
      const held = Promise.withResolvers<void>()
      const isSlowOne = (request: Request) => request.url().endsWith(`/order/${UID}`)
      const ended = Promise.race([
        page.waitForEvent('requestfinished', isSlowOne),
        page.waitForEvent('requestfailed', isSlowOne),
      ])
      await page.route(`**/order/${UID}`, async route => {
        await held.promise
        await route.continue().catch(() => {})
      })
      await page.locator('#uid').fill(UID)
      await page.keyboard.press('Enter')
      await resultWith(page, 'Looking')
      await page.locator('#uid').fill('nobody')
      await page.keyboard.press('Enter')
      await resultWith(page, 'No order has this uid')
      held.resolve()
      await ended
      // Two frames: whatever the page still does about it has been done by then.
      await page.evaluate('new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')
      await resultWith(page, 'No order has this uid')
    }))
})
