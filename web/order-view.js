import { formatMoment, formatMoney, formatNumber } from './format.js'
import { h, text } from './tree.js'
import { jsonCard, originBadge } from './value-view.js'

/**
 * The order laid out for reading: recipient, payment and items, and the JSON as it was served.
 * Pure: the page and the server (`/view`) render the same from it.
 * @param {any} order as `GET /order/:uid` serves it
 * @param {import('./value-view.js').Facts} origin
 * @returns {import('./tree.js').Branch}
 */
export function valueView(order, origin) {
  return h(
    'article',
    { class: 'order', 'aria-labelledby': 'order-title' },
    heading(order, origin),
    h('div', { class: 'cards' }, deliveryCard(order), paymentCard(order)),
    itemsCard(order),
    detailsCard(order),
    jsonCard(order, origin),
  )
}

/**
 * The fields of an order in the list of the latest ones. They exclude all personal data, and live events hold the same fields.
 * @param {any} order
 */
export function summaryOf({ date_created, payment, items }) {
  return { date_created, amount: payment.amount, currency: payment.currency, items: items.length }
}

/** The time that such a row shows, in ms: the list is in its order. @param {any} summary */
export function timeOf({ date_created }) {
  return Date.parse(date_created)
}

/** The cells of such a row, after the uid. @param {any} summary */
export function rowCells({ date_created, amount, currency, items }) {
  return [
    h('span', { class: 'latest-items' }, items === 1 ? '1 item' : `${formatNumber(items)} items`),
    h('span', { class: 'latest-amount' }, text(formatMoney(amount, currency))),
    h('span', { class: 'latest-time' }, formatMoment(date_created, date_created)),
  ]
}

function heading(order, origin) {
  return h(
    'header',
    { class: 'order-head' },
    h(
      'div',
      {},
      h('p', { class: 'eyebrow' }, 'Order'),
      h('h2', { id: 'order-title', class: 'uid' }, order.order_uid),
      h('p', { class: 'meta' }, 'Created ', formatMoment(order.date_created, order.date_created)),
    ),
    originBadge(origin),
  )
}

function deliveryCard({ delivery, customer_id, delivery_service, track_number }) {
  return card(
    'Delivery',
    h('p', { class: 'lead' }, text(delivery.name)),
    h(
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
  const sums = h(
    'dl',
    { class: 'sums' },
    ...row('Goods', formatMoney(payment.goods_total, currency)),
    ...row('Delivery', formatMoney(payment.delivery_cost, currency)),
    ...row('Custom fee', formatMoney(payment.custom_fee, currency)),
    h('dt', { class: 'total' }, 'Amount'),
    h('dd', { class: 'total' }, formatMoney(payment.amount, currency)),
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

/** @type {[string, (item: any) => any[], string?][]} */
const COLUMNS = [
  ['Item', item => [h('strong', {}, text(item.name)), h('span', { class: 'sub' }, text(item.brand))]],
  ['Article', item => [h('code', {}, String(item.nm_id))]],
  ['Size', item => [text(item.size)]],
  ['Price', item => [formatNumber(item.price)], 'number'],
  ['Sale', item => [`${formatNumber(item.sale)} %`], 'number'],
  ['Total', item => [formatNumber(item.total_price)], 'number'],
  ['Status', item => [String(item.status)], 'number'],
]

function itemsCard({ items, payment }) {
  const sum = items.reduce((total, item) => total + item.total_price, 0)
  const head = COLUMNS.map(([title, , kind]) => h('th', { scope: 'col', ...cell(kind) }, title))
  const rowOf = item =>
    h('tr', {}, ...COLUMNS.map(([title, show, kind]) => h('td', { 'data-label': title, ...cell(kind) }, ...show(item))))
  // An order may have thousands of items, so each row is created only when it is rendered.
  const rows = items.map(item => () => rowOf(item))
  return card(
    items.length === 1 ? '1 item' : `${formatNumber(items.length)} items`,
    h('table', {}, h('thead', {}, h('tr', {}, ...head)), h('tbody', {}, ...rows)),
    h('p', { class: 'sum-line' }, 'Sum of items ', h('strong', {}, formatMoney(sum, payment.currency))),
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
  ].map(([name, value, tag]) => h('div', {}, ...row(name, value, tag)))
  return card('Details', h('dl', { class: 'details' }, ...pairs))
}

function card(title, ...children) {
  return h('section', { class: 'card' }, h('h3', {}, title), ...children)
}

/** Name and value side by side; an empty value is labelled as empty instead of left blank. */
function facts(entries) {
  return h('dl', { class: 'facts' }, ...entries.flatMap(([name, value, tag]) => row(name, value, tag)))
}

function row(name, value, tag) {
  if (value === '') return [h('dt', {}, name), h('dd', { class: 'empty' }, 'none')]
  const shown = typeof value === 'string' ? text(value) : value
  return [h('dt', {}, name), h('dd', {}, tag === undefined ? shown : h(tag, {}, shown))]
}

function lines(...texts) {
  return texts.filter(Boolean).map(line => h('span', {}, text(line)))
}

function mismatch(found, stated, words) {
  return found === stated ? undefined : h('p', { class: 'mismatch' }, words)
}

function cell(kind) {
  return kind === undefined ? {} : { class: kind }
}
