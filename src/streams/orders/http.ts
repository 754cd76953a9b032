import type { HttpDefinition } from '../../engine/http-names.ts'

interface Summarised {
  readonly date_created: string
  readonly payment: { readonly amount: number; readonly currency: string }
  readonly items: readonly unknown[]
}

/** Orders had their addresses before other streams could have any, and keep them. */
export const orderHttp: HttpDefinition = {
  paths: ['/order/:uid', '/orders/:uid'],
  query: { path: '/order', parameter: 'uid' },
  viewParameter: 'order_uid',
  fileField: 'order_file',
  many: 'orders',
  keyField: 'order_uid',
  one: 'order',
  keyWord: 'uid',
  keyRule: 'An order uid has 1 to 64 characters: letters, digits, "_" and "-".',
  codes: { malformedKey: 'bad_uid', notFound: 'order_not_found' },
  view: 'order-view.js',
  sample: 'b563feb7b2b84b6test',
  summary(value) {
    const { date_created, payment, items } = value as Summarised
    return { date_created, amount: payment.amount, currency: payment.currency, items: items.length }
  },
}
