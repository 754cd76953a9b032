import { describe, expect, it } from 'vitest'
import { escapeHtml, html, htmlOf } from '#src/http/html.ts'
import { h } from '../../../web/tree.js'

describe('text in markup', () => {
  it.each([
    ['<script>alert(1)</script>', '&lt;script&gt;alert(1)&lt;/script&gt;'],
    [`"onload='x'`, '&quot;onload=&#39;x&#39;'],
    ['&lt; is no tag', '&amp;lt; is no tag'],
    // Letters of any script stay as they are, and so do the marks that turn the direction of reading.
    ['שלום \u202Eabc', 'שלום \u202Eabc'],
    ['', ''],
  ])('stays text: %s', (text, escaped) => {
    expect(escapeHtml(text)).toBe(escaped)
  })

  it('is escaped wherever a template takes a value, and markup is not escaped twice', () => {
    const inner = html`<b>${'<i>'}</b>`
    expect(html`<p title="${'"><script>'}">${inner}</p>`.text).toBe(
      '<p title="&quot;&gt;&lt;script&gt;"><b>&lt;i&gt;</b></p>',
    )
  })

  it('is escaped in the children and attributes of a tree', () => {
    const tree = h('p', { title: '"><script>' }, '<script>', h('code', {}, `'&'`), undefined)
    expect(htmlOf(tree).text).toBe('<p title="&quot;&gt;&lt;script&gt;">&lt;script&gt;<code>&#39;&amp;&#39;</code></p>')
  })

  it('is all that an object which looks like markup can become', () => {
    const forged = JSON.parse('{"text":"<script>"}')
    expect(() => html`${forged}`.text).toThrow(TypeError)
  })
})

describe('a tree', () => {
  it('closes what has an end tag, and only that', () => {
    expect(htmlOf(h('p', {}, h('br'), h('span'))).text).toBe('<p><br><span></span></p>')
  })
})
