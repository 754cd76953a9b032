/**
 * Takes the pictures of docs/: node scripts/pictures.ts
 *
 * A demo runs. search-page.png and order-page.png are of its pages. For console.webp and console.png a constraint of the database and a mistaken producer fill the inbox, and both are repaired in the browser. It
 * needs `img2webp` (Debian: webp).
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Browser, Page } from 'playwright-core'
import { launchBrowser, openPage } from '../test/browser/support.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../', import.meta.url))
const HOLDFAST = join(ROOT, 'bin/holdfast')
const PAGE = { width: 1100, height: 900 }
const SIZE = { width: 1040, height: 900 }
/** README's column is some 900 pixels wide: sharp there, and small enough to load at once. */
const SCALE = 1.25
const SHOWN_MS = 3_500
/** So many are refused before the constraint is dropped. */
const REFUSED = 100
/** Takes several seconds for these, so that the redrive is seen under way. */
const RATE = '20'
const MISTAKEN = 'b563feb7b2b84b6late'
/** A busy machine takes its time. */
const PATIENCE_MS = 120_000
const CAPTION = `position: fixed; inset: auto 0 0; width: auto; margin: 0; padding: 0.7rem 1rem; border: 0;
  background: #0f1716; color: #fff; font-size: 1.1rem`

interface Ready {
  readonly url: string
  readonly kafka: string
  readonly database: string
  readonly admin_key: string
}

const folder = await mkdtemp(join(tmpdir(), 'holdfast-picture-'))
const frames: string[] = []
const demo = spawn(HOLDFAST, ['demo', '--json', '--rate', '60', '--invalid', '0%'], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
const ended = once(demo, 'exit')
try {
  const first = once(createInterface(demo.stdout), 'line')
  const [line] = await Promise.race([first, ended])
  if (demo.exitCode !== null) throw new Error(`the demo ended with ${demo.exitCode} before it was ready`)
  const ready: Ready = JSON.parse(line)
  const browser = await launchBrowser()
  try {
    await takePages(browser, ready)
    await takeConsole(browser, ready)
  } finally {
    await browser.close()
  }
  const animated = join(ROOT, 'docs/console.webp')
  await run('img2webp', [
    '-loop',
    '0',
    '-mixed',
    '-q',
    '80',
    '-m',
    '6',
    '-d',
    String(SHOWN_MS),
    ...frames,
    '-o',
    animated,
  ])
  const kib = Math.round((await stat(animated)).size / 1024)
  process.stderr.write(`${frames.length} pictures, ${kib} KiB: ${animated}\n`)
} finally {
  demo.kill('SIGINT')
  await ended
  await rm(folder, { recursive: true })
}

async function takePages(browser: Browser, { url, kafka }: Ready): Promise<void> {
  const { page, close } = await openPage(browser, { viewport: PAGE, reducedMotion: 'reduce' })
  page.setDefaultTimeout(PATIENCE_MS)
  await page.goto(url)
  await page.getByText(/\d+ stored since/).waitFor()
  await page.screenshot({ path: join(ROOT, 'docs/search-page.png'), fullPage: true })
  await produce(kafka, {})
  await page.locator('#example').click()
  await page.getByText('3 items').or(page.getByText('1 item')).first().waitFor()
  await page.screenshot({ path: join(ROOT, 'docs/order-page.png'), fullPage: true })
  await close()
}

/** From a stream that flows to a stream that flows again. */
async function takeConsole(browser: Browser, { url, kafka, database, admin_key }: Ready): Promise<void> {
  await using closing = new AsyncDisposableStack()
  const store = new pg.Client(database)
  await store.connect()
  closing.defer(() => store.end())
  const { page } = await openPage(browser, {
    viewport: SIZE,
    deviceScaleFactor: SCALE,
    bypassCSP: true,
    reducedMotion: 'reduce',
  })
  page.setDefaultTimeout(PATIENCE_MS)
  await page.addInitScript(`sessionStorage.setItem('holdfast.key', ${JSON.stringify(admin_key)})`)
  await page.goto(`${url}/admin`)
  await page.getByText('Running and up to date. No dead letter is open.').waitFor()
  await page.getByText('Nothing here: no dead letter is open').waitFor()
  await shoot(page, 'Orders flow from Kafka into Postgres')

  // For the redrive: orders in yen, which the constraint refuses. For the edit: an order with a text as its amount.
  await store.query("ALTER TABLE payments ADD CONSTRAINT payments_currency CHECK (currency <> 'JPY') NOT VALID")
  await produce(kafka, { order_uid: MISTAKEN, amount: '1817' })
  const causes = page.locator('#view tbody tr')
  await causes.nth(1).waitFor()
  await page.waitForFunction(`parseInt(document.querySelector('#view .count')?.textContent ?? '') >= ${REFUSED}`)
  await page.waitForFunction(`parseInt(document.querySelector('.arrivals .soft')?.textContent ?? '') > 0`)
  await shoot(
    page,
    'A new constraint refuses orders in yen, a producer sends an amount as text. All others are written',
  )
  await store.query('ALTER TABLE payments DROP CONSTRAINT payments_currency')

  await page.getByRole('link', { name: MISTAKEN }).click()
  await page.locator('.payload').waitFor()
  await page.getByRole('button', { name: 'Would it pass now?' }).click()
  await page.locator('.verdict.alone').waitFor()
  await shoot(page, 'One of them: the reason, and the value with personal data masked. It would fail again')

  await page.getByRole('button', { name: 'Edit and redrive' }).click()
  const edited = page.locator('textarea.edit')
  await edited.fill((await edited.inputValue()).replace('"1817"', '1817'))
  await page.getByLabel('Why').fill('the producer sent a text')
  await page.getByText('It passes.').waitFor()
  await shoot(page, 'Its value is edited and checked against the schema; the original stays')

  await page.getByRole('button', { name: 'Redrive the edited value' }).click()
  await page.getByText('1 of 1 settled').first().waitFor()
  await page.getByRole('link', { name: 'Dead letters', exact: true }).click()
  await causes.first().getByRole('button', { name: 'Redrive …' }).click()
  await page.getByLabel('Records a second').fill(RATE)
  await page.getByLabel('Why').fill('the constraint is dropped')
  const label = page.locator('label', { hasText: /^Type \d+ to confirm/ })
  await page.getByLabel('to confirm').fill(/\d+/.exec((await label.textContent()) ?? '')?.[0] ?? '')
  await shoot(page, 'The others are redriven together: a canary first, then at a rate, and behind the live stream')

  await page.getByRole('button', { name: /^Redrive \d/ }).click()
  await page.waitForFunction(`document.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow') > 0`)
  await shoot(page, 'They go into the tables, at the positions of their records: no other consumer notices')

  await page.getByText('done', { exact: true }).first().waitFor()
  await shoot(page, 'Each is resolved')

  await page.getByRole('link', { name: 'Dead letters', exact: true }).click()
  await page.getByText('Running and up to date. No dead letter is open.').waitFor()
  await page.getByText('Nothing here: no dead letter is open').waitFor()
  await shoot(page, 'The inbox is empty, and “holdfast verify” proves that nothing is missing')
}

/** The caption is a popover, so that it stands above dialogs as well. */
async function shoot(page: Page, caption: string): Promise<void> {
  await page.evaluate(`(() => {
    document.querySelector('#caption')?.remove()
    const caption = document.body.appendChild(document.createElement('p'))
    Object.assign(caption, { id: 'caption', popover: 'manual', textContent: ${JSON.stringify(caption)} })
    caption.style = ${JSON.stringify(CAPTION)}
    caption.showPopover()
  })()`)
  const path = join(folder, `${frames.length}.png`)
  await page.screenshot({ path })
  frames.push(path)
  // The one that shows the most at a glance is the picture for those who want none that moves.
  if (frames.length === 2) await copyFile(path, join(ROOT, 'docs/console.png'))
}

/** Sends the model order, with what is given in place of its own. */
async function produce(brokers: string, { order_uid, amount }: { order_uid?: string; amount?: string }): Promise<void> {
  const model = JSON.parse(await readFile(join(ROOT, 'data/model.json'), 'utf8'))
  const payment = { ...model.payment, amount: amount ?? model.payment.amount }
  const path = join(folder, 'order.json')
  await writeFile(path, JSON.stringify({ ...model, order_uid: order_uid ?? model.order_uid, payment }))
  await run(HOLDFAST, ['produce', '--file', path], { env: { ...process.env, KAFKA_BROKERS: brokers } })
}
