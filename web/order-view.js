import { element, formatMoment, formatMoney, formatNumber } from './dom.js'

/**
 * The order for a person: who gets it, what was paid, what is in it; and the JSON as it was served.
 * @param {object} order as `GET /order/:uid` serves it
 * @param {{ source: 'memory' | 'database', elapsedMs: number }} origin
 */
export function orderView(order, origin) {
  return element(
    'article',
    { class: 'order', 'aria-labelledby': 'order-title' },
    heading(order, origin),
    element('div', { class: 'cards' }, deliveryCard(order), paymentCard(order)),
    itemsCard(order),
    detailsCard(order),
    jsonCard(order),
  )
}

function heading(order, { source, elapsedMs }) {
  const time = elapsedMs < 10 ? elapsedMs.toFixed(1) : formatNumber(Math.round(elapsedMs))
  return element(
    'header',
    { class: 'order-head' },
    element(
      'div',
      {},
      element('p', { class: 'eyebrow' }, 'Order'),
      element('h2', { id: 'order-title', class: 'uid' }, order.order_uid),
      element('p', { class: 'meta' }, 'Created ', formatMoment(order.date_created, order.date_created)),
    ),
    element(
      'p',
      { class: 'badge', id: 'origin', 'data-source': source },
      source === 'memory' ? 'From memory' : 'From the database',
      element('span', { class: 'badge-time' }, `${time} ms`),
    ),
  )
}

function deliveryCard({ delivery, customer_id, delivery_service, track_number }) {
  return card(
    'Delivery',
    element('p', { class: 'lead' }, delivery.name),
    element(
      'address',
      {},
      ...lines(delivery.address, [delivery.zip, delivery.city].filter(Boolean).join(' '), delivery.region),
    ),
    facts([
      ['Phone', delivery.phone],
      ['E-mail', delivery.email],
      ['Customer', customer_id],
      ['Service', delivery_service],
      ['Track number', track_number, 'code'],
    ]),
  )
}

function paymentCard({ payment }) {
  const { currency } = payment
  const parts = payment.goods_total + payment.delivery_cost + payment.custom_fee
  const sums = element(
    'dl',
    { class: 'sums' },
    ...row('Goods', formatMoney(payment.goods_total, currency)),
    ...row('Delivery', formatMoney(payment.delivery_cost, currency)),
    ...row('Custom fee', formatMoney(payment.custom_fee, currency)),
    element('dt', { class: 'total' }, 'Amount'),
    element('dd', { class: 'total' }, formatMoney(payment.amount, currency)),
  )
  return card(
    'Payment',
    sums,
    mismatch(parts, payment.amount, `The parts add up to ${formatMoney(parts, currency)}.`),
    facts([
      ['Paid', formatMoment(payment.payment_dt * 1000, String(payment.payment_dt))],
      ['Provider', payment.provider],
      ['Bank', payment.bank],
      ['Transaction', payment.transaction, 'code'],
      ['Request', payment.request_id, 'code'],
    ]),
  )
}

const COLUMNS = [
  ['Item', item => [element('strong', {}, item.name), element('span', { class: 'sub' }, item.brand)]],
  ['Article', item => [element('code', {}, String(item.nm_id))]],
  ['Size', item => [item.size]],
  ['Price', item => [formatNumber(item.price)], 'number'],
  ['Sale', item => [`${formatNumber(item.sale)} %`], 'number'],
  ['Total', item => [formatNumber(item.total_price)], 'number'],
  ['Status', item => [String(item.status)], 'number'],
]

function itemsCard({ items, payment }) {
  const sum = items.reduce((total, item) => total + item.total_price, 0)
  const head = COLUMNS.map(([title, , kind]) => element('th', { scope: 'col', ...cell(kind) }, title))
  const rows = items.map(item =>
    element(
      'tr',
      {},
      ...COLUMNS.map(([title, show, kind]) => element('td', { 'data-label': title, ...cell(kind) }, ...show(item))),
    ),
  )
  return card(
    items.length === 1 ? '1 item' : `${formatNumber(items.length)} items`,
    element('table', {}, element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...rows)),
    element('p', { class: 'sum-line' }, 'Sum of items ', element('strong', {}, formatMoney(sum, payment.currency))),
    mismatch(
      sum,
      payment.goods_total,
      `The payment says ${formatMoney(payment.goods_total, payment.currency)} for goods.`,
    ),
  )
}

function detailsCard(order) {
  const pairs = [
    ['Entry', order.entry],
    ['Locale', order.locale],
    ['Shard key', order.shardkey],
    ['OOF shard', order.oof_shard],
    ['SM id', String(order.sm_id)],
    ['Signature', order.internal_signature, 'code'],
  ].map(([name, value, tag]) => element('div', {}, ...row(name, value, tag)))
  return card('Details', element('dl', { class: 'details' }, ...pairs))
}

function jsonCard(order) {
  const text = JSON.stringify(order, null, 2)
  const json = element('pre', { id: 'json', tabindex: '0', 'aria-label': 'The order as JSON' }, text)
  const copy = element('button', { type: 'button', class: 'quiet', id: 'copy' }, 'Copy JSON')
  copy.addEventListener('click', async () => {
    copy.textContent = (await copied(text, json)) ? 'Copied' : 'Selected: press Ctrl+C'
  })
  const open = element('a', { href: `/order/${encodeURIComponent(order.order_uid)}` }, 'Open as served')
  return element(
    'details',
    { class: 'card raw' },
    element('summary', {}, 'JSON'),
    element('div', { class: 'actions' }, copy, open),
    json,
  )
}

/** The clipboard is only there on a secure origin; elsewhere the text is selected, one key press from being copied. */
async function copied(text, json) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    getSelection()?.selectAllChildren(json)
    return false
  }
}

function card(title, ...children) {
  return element('section', { class: 'card' }, element('h3', {}, title), ...children)
}

/** Name and value side by side; an empty value is said to be empty, rather than left as a hole. */
function facts(entries) {
  return element('dl', { class: 'facts' }, ...entries.flatMap(([name, value, tag]) => row(name, value, tag)))
}

function row(name, value, tag) {
  if (value === '') return [element('dt', {}, name), element('dd', { class: 'empty' }, 'none')]
  return [element('dt', {}, name), element('dd', {}, tag === undefined ? value : element(tag, {}, value))]
}

function lines(...texts) {
  return texts.filter(Boolean).map(text => element('span', {}, text))
}

function mismatch(found, stated, text) {
  return found === stated ? undefined : element('p', { class: 'mismatch' }, text)
}

function cell(kind) {
  return kind === undefined ? {} : { class: kind }
}
