import type { Browser, Locator } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TimelineWindow } from '#src/engine/watch/timeline.ts'
import { type ConsolePages, startConsole } from './console-pages.ts'
import { type ConsoleStandIn, fillWith } from './console-stand-in.ts'
import { looksWell } from './looks.ts'
import { launchBrowser } from './support.ts'

let browser: Browser
let pages: ConsolePages

beforeAll(async () => {
  browser = await launchBrowser()
  pages = await startConsole(browser, { fill: fillPast })
})

afterAll(async () => {
  await browser?.close()
  await pages?.[Symbol.asyncDispose]()
})

const MINUTE_MS = 60_000

describe('what happened to a stream', () => {
  it.each(['15m', '1h', '24h', '7d'])(
    'is on one axis of %s, in light and dark, on a large screen and on a phone',
    span =>
      pages.visit(`/admin?view=timeline&span=${span}`, async page => {
        await page.locator('.timeline .line.rate').first().waitFor()
        for (const name of ['Records settled a second', 'Lag', 'Dead letters', 'Stood still', 'Deploys and actions']) {
          await page.locator('.lane-name', { hasText: name }).first().waitFor()
        }
        expect(await page.locator('.timeline .unknown').count(), 'the time in which nobody wrote').toBeGreaterThan(0)
        expect(await page.locator('.timeline .stop').count()).toBe(3)
        if (span === '15m') await page.getByText('The figures as a table').click()
        await looksWell(page, `console-timeline-${span}`, { phoneWidth: 360 })
      }),
  )

  it('is reached by a tab, its span stands in the address, and it is told anew while it is looked at', () =>
    pages.visit('/admin', async page => {
      await page.getByRole('link', { name: 'Timeline' }).click()
      await page.locator('.timeline .line').first().waitFor()
      await page.getByRole('link', { name: '15 min' }).click()
      await expect.poll(() => new URL(page.url()).search).toBe('?view=timeline&span=15m')
      await page.getByText('store_away').waitFor({ state: 'detached' })
      const { past } = pages.inbox
      const { series } = past
      try {
        past.series = async (window, most) => {
          const told = await series(window, most)
          const stop = { kind: 'pause', name: 'halted', partitions: [4], from: window.from, to: window.to }
          return { ...told, stops: [...told.stops, stop] }
        }
        await page.locator('.stop-name', { hasText: 'halted' }).waitFor()
      } finally {
        past.series = series
      }
    }))

  it('a drag over the chart chooses a span, and leads to the dead letters that failed in it', () =>
    pages.visit('/admin?view=timeline&span=1h', async page => {
      const chart = page.locator('svg.timeline')
      await page.locator('.timeline .line').first().waitFor()
      const { x, y, width } = await boxOf(chart)
      await page.mouse.move(x + width * 0.5, y + 60)
      await page.locator('.readout', { hasText: 'records settled' }).waitFor()
      await page.mouse.down()
      await page.mouse.move(x + width * 0.6, y + 90, { steps: 4 })
      await page.mouse.move(x + width * 0.75, y + 90, { steps: 4 })
      await page.mouse.up()
      await page.locator('.chosen', { hasText: '(15 min)' }).waitFor()
      expect((await boxOf(page.locator('.timeline .selection'))).width).toBeGreaterThan(width * 0.2)
      await page.getByRole('link', { name: 'Dead letters of this span' }).click()
      await page.locator('#view tbody tr').first().waitFor()
      const { searchParams } = new URL(page.url())
      const [, from = '', to = ''] = /^after:(\S+Z) before:(\S+Z)$/.exec(searchParams.get('q') ?? '') ?? []
      expect(Date.parse(to) - Date.parse(from)).toBe(15 * MINUTE_MS)
      const isIn = (ms: number) => ms >= Date.parse(from) && ms < Date.parse(to)
      const failed = [...pages.inbox.rows.values()].filter(row => isIn(Date.parse(row.failed_at)))
      expect(failed.length).toBeGreaterThan(0)
      await page.getByText(`${failed.length} dead letters`).first().waitFor()

      // Back, a click takes the choice away.
      await page.goBack()
      await page.locator('.timeline .line').first().waitFor()
      await page.mouse.click(x + width * 0.3, y + 60)
      await page.locator('.chosen', { hasText: '(1 h)' }).waitFor()
    }))

  it('everything works without a mouse: a span is chosen with arrows, and marks are read one by one', () =>
    pages.visit('/admin?view=timeline&span=15m', async page => {
      await page.locator('.timeline .line').first().waitFor()
      await page.getByLabel('To', { exact: true }).focus()
      for (let press = 0; press < 30; press++) await page.keyboard.press('ArrowLeft')
      await page.locator('.chosen', { hasText: '(10 min)' }).waitFor()
      await page.locator('#said', { hasText: 'records settled' }).waitFor()
      expect(await page.getByLabel('To', { exact: true }).getAttribute('aria-valuetext')).toMatch(/^\d\d:\d\d:\d0$/)
      await page.getByLabel('From', { exact: true }).press('End')
      await page.locator('.chosen', { hasText: '(10 s)' }).waitFor()
      await page.getByRole('button', { name: 'Choose all' }).press('Enter')
      await page.locator('.chosen', { hasText: '(15 min)' }).waitFor()

      // One of the marks is a stop of the Tab key.
      expect(await page.locator('.mark[tabindex="0"]').count()).toBe(1)
      await page.locator('.mark[tabindex="0"]').focus()
      await page.locator('.readout', { hasText: 'deployed' }).waitFor()
      await page.keyboard.press('ArrowRight')
      await page.locator('.readout', { hasText: 'redrive by ada (state:open: the schema was mended)' }).waitFor()
      await page.keyboard.press('Home')
      await page.locator('.readout', { hasText: '1.5.0 deployed (3 processes)' }).waitFor()
    }))

  it('each thing that stood still has its runbook, and its time can be chosen', () =>
    pages.visit('/admin?view=timeline&span=15m', async page => {
      const row = page.locator('#view tbody tr', { hasText: 'stopped by the storm guard' })
      await row.getByRole('button').click()
      await page.locator('.chosen', { hasText: '(3 min)' }).waitFor()
      await row.getByRole('link', { name: 'Runbook' }).click()
      await page.getByRole('heading', { name: 'HoldfastStormGuard' }).waitFor()
      await looksWell(page, 'console-runbook', { phoneWidth: 360 })
      await page.getByRole('link', { name: 'All runbooks' }).click()
      await page.getByRole('link', { name: 'HoldfastLagHigh' }).waitFor()
      await looksWell(page, 'console-runbooks', { phoneWidth: 360 })
    }))

  it('what is wrong now links its runbook, and Grafana with the span of time where it is known', () =>
    pages.visit('/admin?view=timeline', async page => {
      const { glance } = pages.inbox
      await page.locator('.guides', { hasText: 'Dead letters arriving' }).waitFor()
      glance.lag_seconds = 300
      glance.grafana_url = 'https://grafana.test/d/holdfast-stream?var-stream=orders'
      try {
        await page.locator('.guides').getByRole('link', { name: 'Lag high' }).waitFor()
        expect(await page.locator('.guides').getByRole('link', { name: 'Grafana' }).getAttribute('href')).toBe(
          glance.grafana_url,
        )
        await page.reload()
        const link = page.locator('.chosen').getByRole('link', { name: 'Grafana' })
        expect(await link.getAttribute('href')).toMatch(/var-stream=orders&from=\d{13}&to=\d{13}$/)
      } finally {
        glance.lag_seconds = 0.4
        delete glance.grafana_url
      }
    }))

  it('says so where nothing is known yet', async () => {
    await using empty = await startConsole(browser)
    await empty.visit('/admin?view=timeline', async page => {
      await page.getByText('nothing is known: no process wrote what it did').waitFor()
      await page.getByText('Nothing stood still, nothing was deployed').waitFor()
      await looksWell(page, 'console-timeline-empty', { phoneWidth: 360 })
    })
  })
})

async function boxOf(place: Locator): Promise<{ x: number; y: number; width: number; height: number }> {
  const box = await place.boundingBox()
  if (box === null) throw new Error('it is not visible')
  return box
}

/** Whatever span is looked at: a busy stream, a gap, an outage of Postgres, then a storm of dead letters after a deploy. */
function fillPast(inbox: ConsoleStandIn): void {
  const nowMs = Date.now()
  fillWith(inbox, 60, nowMs)
  // Failures within the hour.
  for (const [index, row] of [...inbox.rows.values()].entries()) {
    row.failed_at = new Date(nowMs - (index + 1) * MINUTE_MS).toISOString()
  }
  const at = ({ from, to }: TimelineWindow, share: number) =>
    new Date(from.getTime() + share * (to.getTime() - from.getTime()))
  inbox.past.series = async window => {
    const { from, to, stepSeconds } = window
    const count = (to.getTime() - from.getTime()) / 1_000 / stepSeconds
    const steps = Array.from({ length: count - 1 }, (_, step) => {
      const share = step / count
      const isAway = share > 0.35 && share < 0.45
      const isStorm = share > 0.6 && share < 0.8
      return {
        step,
        rate: isAway ? 0 : 900 + 300 * Math.sin(step / 9) + (share > 0.45 && share < 0.5 ? 900 : 0),
        deadLettered: isStorm ? 20 + (step % 7) * 5 : step % 31 === 0 ? 1 : 0,
        lagRecords: isAway ? Math.round(40_000 * (share - 0.35)) : 20,
        lagSeconds: isAway ? (share - 0.35) * count * stepSeconds : 0.4,
      }
    }).filter(({ step }) => step / count < 0.1 || step / count > 0.16)
    const stops = [
      { kind: 'breaker', name: 'postgres', partitions: [], from: at(window, 0.35), to: at(window, 0.45) },
      {
        kind: 'pause',
        name: 'store_away',
        partitions: [0, 1, 2, 3, 4, 5],
        from: at(window, 0.35),
        to: at(window, 0.45),
      },
      { kind: 'pause', name: 'storm_guard', partitions: [3], from: at(window, 0.6), to: at(window, 0.8) },
    ]
    return { steps, stops }
  }
  inbox.past.starts = async window => [{ at: at(window, 0.58), version: '1.5.0', count: 3, deployed: true }]
  inbox.past.actions = async window => [
    {
      at: at(window, 0.9),
      who: 'ada',
      what: 'resume',
      filter: 'topic:orders partition:3',
      because: 'the producer is fixed',
    },
    { at: at(window, 0.85), who: 'ada', what: 'replay', filter: 'state:open', because: 'the schema was mended' },
  ]
}
