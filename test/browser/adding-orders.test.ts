import { createHash } from 'node:crypto'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MODEL, resultWith, startPages } from './pages.ts'
import { launchBrowser } from './support.ts'

let browser: Browser

beforeAll(async () => {
  browser = await launchBrowser()
})

afterAll(async () => {
  await browser?.close()
})

const orderOf = (uid: string, changes: object = {}) => ({ ...MODEL, order_uid: uid, ...changes })

describe('the list of the latest orders', () => {
  it('says what to do while there are none', async () => {
    await using pages = await startPages(browser)
    await pages.visit('/', page => page.getByText('There are no orders yet.').waitFor())
  })

  it('does not say that there are none while the database cannot be read, and lists them once it can', async () => {
    await using pages = await startPages(browser, { orders: [orderOf('there')] })
    pages.away.store = true
    await pages.visit('/', async page => {
      await page.getByText('The database cannot be read just now').waitFor()
      pages.store(orderOf('told'))
      await rowsBecome(page, ['told'])
      expect(await page.getByText('There are no orders yet').count()).toBe(0)
      pages.away.store = false
      await rowsBecome(page, ['told', 'there'])
    })
  })

  it('shows what is there already, newest first, and opens one', async () => {
    await using pages = await startPages(browser, { orders: [orderOf('older'), orderOf('newer')] })
    await pages.visit('/', async page => {
      await rowsBecome(page, ['newer', 'older'])
      expect(await page.locator('#latest-list li').first().textContent()).toContain('1 item')
      await page.locator('#latest-list').getByText('older').click()
      await resultWith(page, 'Test Testov')
      expect(page.url()).toBe(`${pages.url}/?uid=older`)
    })
  })

  it('moves by itself as orders are stored, and has each order once', async () => {
    await using pages = await startPages(browser, { orders: [orderOf('one'), orderOf('two')] })
    await pages.visit('/', async page => {
      await rowsBecome(page, ['two', 'one'])
      pages.store(orderOf('three'))
      await rowsBecome(page, ['three', 'two', 'one'])
      pages.store(orderOf('one'))
      await rowsBecome(page, ['one', 'three', 'two'])
      await page.getByText('2 stored since this page was opened.').waitFor()
    })
  })

  it('is in the order of the times that it shows, whatever the order in which orders are stored', async () => {
    const at = (order_uid: string, date_created: string) => ({ ...MODEL, order_uid, date_created })
    await using pages = await startPages(browser, { orders: [at('middle', '2022-01-01T00:00:00Z')] })
    await pages.visit('/', async page => {
      await page.locator('#latest-list', { hasText: 'middle' }).waitFor()
      await page.getByText('New ones appear here').waitFor()
      pages.store(at('newer', '2023-01-01T00:00:00Z'))
      await page.locator('#latest-list', { hasText: 'newer' }).waitFor()
      pages.store(at('older', '2021-01-01T00:00:00Z'))
      await page.locator('#latest-list', { hasText: 'older' }).waitFor()
      expect(await page.locator('#latest-list a').allTextContents()).toEqual(['newer', 'middle', 'older'])
    })
  })

  it('stands still when it is stopped, and catches up when it goes on', async () => {
    await using pages = await startPages(browser, { orders: [orderOf('one')] })
    await pages.visit('/', async page => {
      await rowsBecome(page, ['one'])
      const button = page.getByRole('button', { name: 'Stop the list' })
      await button.click()
      pages.store(orderOf('two'))
      await page.getByText('Stopped. 1 stored meanwhile.').waitFor()
      await rowsBecome(page, ['one'])
      await button.click()
      await rowsBecome(page, ['two', 'one'])
    })
  })

  it('connects again by itself', async () => {
    await using pages = await startPages(browser, { orders: [orderOf('one')] })
    await pages.visit('/', async page => {
      await rowsBecome(page, ['one'])
      await page.route('**/orders/live', route => route.abort())
      pages.dropWatchers()
      await page.getByText('Not connected just now').waitFor()
      pages.store(orderOf('missed'))
      await page.unroute('**/orders/live')
      await rowsBecome(page, ['missed', 'one'])
    })
  })
})

describe('adding an order', () => {
  it('stores a file, links to the order, and lists it', async () => {
    await using pages = await startPages(browser)
    await pages.visit('/', async page => {
      await send(page, JSON.stringify(orderOf('uploaded')))
      await answerWith(page, 'The order is stored')
      await rowsBecome(page, ['uploaded'])
      await page.locator('#create-answer a').click()
      await resultWith(page, 'Test Testov')
    })
  })

  it('names each violation by its place in the file, in words', async () => {
    await using pages = await startPages(browser)
    await pages.visit('/', async page => {
      const items = [MODEL.items[0], { ...MODEL.items[0], price: 'much' }]
      await send(page, JSON.stringify({ ...orderOf('bad', { items }), track_number: undefined }))
      const answer = await answerWith(page, 'This is not a valid order')
      expect(answer).toContain('track_number is missing')
      expect(answer).toContain('items › no. 2 › price must be an integer')
    })
  })

  it('tells who has chosen the wrong file what it is', async () => {
    await using pages = await startPages(browser)
    await pages.visit('/', async page => {
      await send(page, 'uid;name\n1;Test')
      await answerWith(page, 'This is text, but not JSON')
      await send(page, 'x'.repeat(1024 * 1024 + 1))
      await answerWith(page, 'too large')
      await page.locator('#order-file').setInputFiles([])
      await page.locator('#send').click()
      await answerWith(page, 'Choose a file first')
    })
  })

  it('says that nobody knows whether it was taken while Kafka is away', async () => {
    await using pages = await startPages(browser)
    pages.away.kafka = true
    await pages.visit('/', async page => {
      await send(page, JSON.stringify(MODEL))
      expect(await answerWith(page, 'Kafka did not confirm the order')).toContain(
        'it is not known whether the order was taken',
      )
    })
  })

  it('takes a file that is dropped', async () => {
    await using pages = await startPages(browser)
    await pages.visit('/', async page => {
      const transfer = await page.evaluateHandle(
        `(() => { const t = new DataTransfer(); t.items.add(new File([${JSON.stringify(JSON.stringify(orderOf('dropped')))}], 'dropped.json')); return t })()`,
      )
      await page.dispatchEvent('#drop', 'drop', { dataTransfer: transfer })
      expect(await page.locator('#order-file').inputValue()).toContain('dropped.json')
      await page.locator('#send').click()
      await answerWith(page, 'The order is stored')
    })
  })

  it('can be done by keyboard alone', async () => {
    await using pages = await startPages(browser)
    await pages.visit('/', async page => {
      await page.locator('#order-file').setInputFiles(fileOf(JSON.stringify(orderOf('typed'))))
      await page.locator('#order-file').focus()
      await page.keyboard.press('Tab')
      await page.keyboard.press('Enter')
      await answerWith(page, 'The order is stored')
      await page.keyboard.press('Tab')
      await page.keyboard.press('Enter')
      await resultWith(page, 'Test Testov')
    })
  })
})

describe('where a key is needed', () => {
  const hashed = (key: string) => createHash('sha256').update(key).digest('hex')
  const keys = [
    { name: 'reader', role: 'read', sha256: hashed('reads') },
    { name: 'writer', role: 'write', sha256: hashed('writes') },
    { name: 'operator', role: 'admin', sha256: hashed('operates') },
  ] as const

  it('asks for it, goes on with what it was needed for, and keeps it for the tab', async () => {
    await using pages = await startPages(browser, { orders: [orderOf('secret')], keys, keyless: 'nobody' })
    await pages.visit('/?uid=secret', async page => {
      await resultWith(page, 'A key is needed to read orders')
      await give(page, 'guessed')
      await page.getByText('This key is not accepted here.').waitFor()
      await give(page, 'reads')
      await resultWith(page, 'Test Testov')
      await rowsBecome(page, ['secret'])
      await page.reload()
      await resultWith(page, 'Test Testov')
      expect(await page.locator('#key-form').isVisible()).toBe(false)
    })
  })

  it('tells an operator, and nobody else, that an order was set aside, and why', async () => {
    const letter = { id: 'orders-3-42', reason: 'schema_violation', error: 'required', pointer: '/payment' } as const
    const deadLetters = { lost: letter }
    await using pages = await startPages(browser, { keys, keyless: 'nobody', deadLetters })
    await pages.visit('/?uid=lost', async page => {
      await give(page, 'reads')
      expect(await resultWith(page, 'No order has this uid')).not.toContain('orders-3-42')
    })
    await pages.visit('/?uid=lost', async page => {
      await give(page, 'operates')
      expect(await resultWith(page, 'orders-3-42')).toContain('schema_violation (required at /payment)')
    })
  })

  it('says that a key may only read, and sends the order with another one', async () => {
    await using pages = await startPages(browser, { keys, keyless: 'nobody' })
    await pages.visit('/', async page => {
      await give(page, 'reads')
      await page.getByText('There are no orders yet.').waitFor()
      await send(page, JSON.stringify(orderOf('sent')))
      await answerWith(page, 'This key may only read')
      await give(page, 'writes')
      await answerWith(page, 'The order is stored')
    })
  })
})

async function give(page: Page, key: string): Promise<void> {
  await page.locator('#key').fill(key)
  await page.keyboard.press('Enter')
}

const fileOf = (text: string) => ({ name: 'order.json', mimeType: 'application/json', buffer: Buffer.from(text) })

async function send(page: Page, text: string): Promise<void> {
  await page.locator('#order-file').setInputFiles(fileOf(text))
  await page.locator('#send').click()
}

async function answerWith(page: Page, expected: string): Promise<string> {
  await page.locator('#create-answer', { hasText: expected }).waitFor()
  return (await page.locator('#create-answer').textContent()) ?? ''
}

/** Resolves once the list shows exactly these, in this order. */
async function rowsBecome(page: Page, uids: readonly string[]): Promise<void> {
  await expect.poll(() => page.locator('#latest-list a').allTextContents()).toEqual(uids)
}
