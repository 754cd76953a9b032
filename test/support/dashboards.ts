import { readdirSync, readFileSync } from 'node:fs'

/** A dashboard as Grafana reads it from its file; only what tests ask of it. */
export interface StoredBoard {
  readonly id?: number | null
  readonly uid: string
  readonly title: string
  readonly panels: readonly StoredPanel[]
  readonly templating?: { readonly list: readonly { readonly name: string; readonly query?: unknown }[] }
  readonly annotations?: { readonly list: readonly { readonly name: string; readonly expr: string }[] }
}

export interface StoredPanel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly datasource?: unknown
  readonly links: readonly { readonly title: string; readonly url: string }[]
  readonly fieldConfig: { readonly defaults: { readonly unit?: string } }
  readonly targets: readonly { readonly refId: string; readonly expr: string; readonly legendFormat: string }[]
}

const DIRECTORY = new URL('../../grafana/dashboards/', import.meta.url)

export function readBoards(): StoredBoard[] {
  return readdirSync(DIRECTORY).map(file => JSON.parse(readFileSync(new URL(file, DIRECTORY), 'utf8')) as StoredBoard)
}
