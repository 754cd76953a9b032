import { afterEach, expect, it, vi } from 'vitest'
import { answerable, filterOf } from '#src/inbox/cli/dlq-filter.ts'
import type { DeadLetters } from '#src/inbox/cli/dlq-parts.ts'
import { printFilter } from '#src/inbox/filter.ts'
import { adminStandIn } from '../../../support/admin-stand-in.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** Three letters, of which one is of the bank alpha, and one has no bytes any more. */
function inboxOf() {
  const inbox = adminStandIn()
  for (const name of ['alpha', 'beta', 'alpha']) inbox.add({ value: Buffer.from(`{"payment":{"bank":"${name}"}}`) })
  inbox.bytes.delete('orders-0-2')
  const config = { operator: 'ada' } as DeadLetters['config']
  return { ...inbox, config }
}

function written(): string[] {
  const lines: string[] = []
  vi.spyOn(process.stderr, 'write').mockImplementation(line => lines.push(String(line)) > 0)
  return lines
}

it('a search in values shows on stderr how far it is, and what could not be searched', async () => {
  const inbox = inboxOf()
  const lines = written()
  const filter = await answerable(inbox, filterOf(['value:/payment/bank=alpha']), {})
  expect(filter.terms).toContainEqual(expect.objectContaining({ field: 'found', ids: ['orders-0-0'] }))
  expect(lines.join('')).toBe(
    'searched 3  1 found\n1 dead letter could not be searched: the bytes are gone, or their place is not known\n',
  )
  expect(inbox.log).toMatchObject([{ who: 'ada', what: 'search', because: 'a search in values' }])
})

it('says nothing where nothing is searched, and leaves no progress where a program reads', async () => {
  const inbox = inboxOf()
  const lines = written()
  expect(printFilter(await answerable(inbox, filterOf(['id:orders-0-1', 'state:open']), {}))).toBe(
    'id:orders-0-1 state:open',
  )
  inbox.bytes.set('orders-0-2', { ...(inbox.bytes.get('orders-0-1') ?? expect.fail()) })
  await answerable(inbox, filterOf(['value:/payment']), { json: true })
  expect(lines).toEqual([])
})

it('says what a word was taken for', async () => {
  const inbox = inboxOf()
  const lines = written()
  await answerable(inbox, filterOf(['orders-0-1', 'missing']), {})
  expect(lines).toEqual(['taken as: id:orders-0-1 text:missing\n'])
})

it('ends with Ctrl-C, and says that not all was searched', async () => {
  const inbox = inboxOf()
  written()
  for (let i = 0; i < 2_500; i++) inbox.add({ value: Buffer.from('{}') })
  const searching = answerable(inbox, filterOf(['value:/payment/bank=alpha']), { json: true })
  process.emit('SIGINT')
  await expect(searching).rejects.toThrow('interrupted: not all values were searched')
})
