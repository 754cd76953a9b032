import { toDom } from '../dom.js'
import { h } from '../tree.js'
import { button } from './parts.js'
import { answerTo } from './requests.js'

const FORMS = [
  { name: 'CSV', accept: 'text/csv', ending: 'csv' },
  { name: 'NDJSON', accept: 'application/x-ndjson', ending: 'ndjson' },
]

/** Buttons that save all that match as a file. A link cannot: the key goes with the request. */
export function downloads(app, { q, sort }) {
  const save = async (event, { name, accept, ending }) => {
    const { currentTarget } = event
    currentTarget.disabled = true
    app.say(`All that match are downloaded as ${name}.`)
    try {
      const response = await answerTo('/admin/dead-letters', { query: { q, sort }, accept })
      const address = URL.createObjectURL(await response.blob())
      toDom(h('a', { href: address, download: `dead-letters.${ending}` })).click()
      // The browser has read it by then.
      setTimeout(() => URL.revokeObjectURL(address), 60_000)
    } catch (failure) {
      if (failure.title !== undefined) app.tell(`${failure.title}. ${failure.message}`)
      else app.tell('The download broke off. Try again.')
    } finally {
      currentTarget.disabled = false
    }
  }
  return toDom(
    h(
      'span',
      { class: 'downloads', role: 'group', 'aria-label': 'Download all that match' },
      h('span', { class: 'soft' }, 'Download all'),
      ...FORMS.map(form => button(form.name, event => void save(event, form))),
    ),
  )
}
