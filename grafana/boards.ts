import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard'
import { type BoardSpec, buildBoard } from './board.ts'
import { cache } from './rows/cache.ts'
import { deadLetters } from './rows/dead-letters.ts'
import { healthy } from './rows/healthy.ts'
import { red } from './rows/red.ts'
import { redrive } from './rows/redrive.ts'
import { runtime } from './rows/runtime.ts'
import { use } from './rows/use.ts'
import { readRunbooks } from './runbooks.ts'

const STREAM: BoardSpec = {
  uid: 'holdfast-stream',
  title: 'Holdfast: the stream',
  about:
    'From top to bottom: is it healthy, what comes in and what becomes of it, what is full, cache, dead letters, processes.',
  rows: [healthy, red, use, cache, deadLetters, runtime],
  beside: { title: 'A redrive', uid: 'holdfast-replay' },
  from: 'now-1h',
}

const REDRIVE: BoardSpec = {
  uid: 'holdfast-replay',
  title: 'Holdfast: a redrive',
  about:
    'For the time while dead letters are sent back: how far it is, what becomes of them, and whether the stream bears it.',
  rows: redrive,
  beside: { title: 'The stream', uid: 'holdfast-stream' },
  from: 'now-15m',
}

/** All dashboards, by the name of their file below `dashboards/`. */
export function boards(): Readonly<Record<string, dashboard.Dashboard>> {
  const runbooks = readRunbooks()
  return {
    'stream.json': buildBoard(STREAM, runbooks),
    'replay.json': buildBoard(REDRIVE, runbooks),
    'runbooks.json': runbooks.board,
  }
}

export function textOfBoard(board: dashboard.Dashboard): string {
  return `${JSON.stringify(board, withoutHidingPlaces, 2)}\n`
}

/** The SDK puts each link and annotation into a menu, the only placement that its type has; without it they are visible directly. */
function withoutHidingPlaces(key: string, value: unknown): unknown {
  return key === 'placement' && value === dashboard.DashboardLinkPlacement.InControlsMenu ? undefined : value
}
