import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { METRICS, PREFIX } from '#src/telemetry/metric-table.ts'
import { boards, textOfBoard } from '../../../grafana/boards.ts'
import { readBoards } from '../../support/dashboards.ts'

const ROOT = new URL('../../../', import.meta.url)
const DIRECTORY = new URL('grafana/dashboards/', ROOT)
const stored = readBoards()

it('the files are what grafana/generate.ts writes: run it after a change there, or of a runbook', () => {
  const generated = Object.entries(boards()).map(([file, board]) => [file, textOfBoard(board)])
  const files = readdirSync(DIRECTORY).map(file => [file, readFileSync(new URL(file, DIRECTORY), 'utf8')])
  expect(Object.fromEntries(files)).toEqual(Object.fromEntries(generated))
})

it('no two dashboards share an address', () => {
  const uids = stored.map(({ uid }) => uid)
  expect(new Set(uids).size).toBe(uids.length)
})

describe.each(stored.map(board => [board.title, board] as const))('%s', (_title, board) => {
  const panels = board.panels.filter(({ type }) => type !== 'row')
  const graphs = panels.filter(({ type }) => type !== 'text')

  it('is of the format that Grafana reads from files, and not to be edited there', () => {
    expect(board).toMatchObject({ schemaVersion: 42, editable: false })
    expect(board.uid).toMatch(/^[a-z-]{1,40}$/)
    expect(board.id ?? null).toBeNull()
  })

  it('gives each panel an id of its own', () => {
    const ids = board.panels.map(({ id }) => id)
    expect(ids.every(id => Number.isInteger(id) && id > 0)).toBe(true)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('puts no panel upon another, or beyond the edge', () => {
    const taken = new Map<string, string>()
    for (const { title, gridPos } of board.panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.get(`${x},${y}`), title).toBeUndefined()
          taken.set(`${x},${y}`, title)
        }
      }
    }
  })

  it('uses no variable that it has not', () => {
    const own = (board.templating?.list ?? []).map(({ name }) => name)
    const text = JSON.stringify({ ...board, templating: undefined, panels: graphs })
    const used = [...text.matchAll(/\$\{?(\w+)/g)].map(([, name = '']) => name).filter(name => !name.startsWith('__'))
    expect(own).toEqual(expect.arrayContaining([...new Set(used)]))
  })

  it.each(graphs.map(panel => [panel.title, panel] as const))(
    '%s: says what it is, in which unit, and what to do',
    (_name, panel) => {
      expect(panel.description?.length).toBeGreaterThan(20)
      expect(panel.fieldConfig.defaults.unit).toMatch(/^(s|bytes|percentunit|short|reqps|suffix: \/s)$/)
      expect(panel.datasource).toEqual({ type: 'prometheus', uid: '$datasource' })
      expect(panel.targets.length).toBeGreaterThan(0)
      expect(panel.targets.every(({ legendFormat }) => legendFormat !== '')).toBe(true)
      expect(new Set(panel.targets.map(({ refId }) => refId)).size).toBe(panel.targets.length)
    },
  )

  it.each(graphs.map(panel => [panel.title, panel] as const))(
    '%s: leads to its runbook and to the console',
    (_name, panel) => {
      const [runbook, console] = panel.links
      const alert = runbook?.title.replace('Runbook: ', '')
      expect(existsSync(new URL(`docs/runbooks/${alert}.md`, ROOT)), alert).toBe(true)
      const [, id] = /^\/d\/holdfast-runbooks\/runbooks\?viewPanel=panel-(\d+)$/.exec(runbook?.url ?? '') ?? []
      const page = stored.find(({ uid }) => uid === 'holdfast-runbooks')?.panels.find(one => one.id === Number(id))
      expect(page?.title).toBe(alert)
      expect(console?.url).toMatch(/^\$\{console:raw\}\/admin(\?view=(groups|replays|list&q=state:(open|parked)))?$/)
    },
  )

  it.each(graphs.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)))(
    '%s: asks for metrics and labels that there are: %s',
    (_name, expr) => {
      const asked = [...expr.matchAll(/\b(holdfast_\w+)(?:\{([^}]*)\})?/g)]
      for (const [, name = '', filter = ''] of asked) {
        const spec = specOf(name)
        expect(spec, name).toBeDefined()
        const labels = [...filter.matchAll(/(\w+)=~?"/g)].map(([, label = '']) => label)
        expect(['job', 'instance', ...Object.keys(spec?.labels ?? {})]).toEqual(expect.arrayContaining(labels))
      }
      const others = expr.replace(/"[^"]*"/g, '').match(/\b(process|nodejs)_\w+|\bALERTS\b/g) ?? []
      expect(asked.length + others.length).toBeGreaterThan(0)
    },
  )
})

/** Of a histogram's parts, too. */
function specOf(name: string): { readonly labels: object } | undefined {
  const table: Readonly<Record<string, { readonly type: string; readonly labels: object }>> = METRICS
  const own = name.slice(PREFIX.length)
  const histogram = table[own.replace(/_(bucket|sum|count)$/, '')]
  return table[own] ?? (histogram?.type === 'histogram' ? histogram : undefined)
}
