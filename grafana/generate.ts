/** Writes the dashboards that Grafana reads: node grafana/generate.ts */
import { mkdirSync, writeFileSync } from 'node:fs'
import { boards, textOfBoard } from './boards.ts'

const DIRECTORY = new URL('./dashboards/', import.meta.url)

mkdirSync(DIRECTORY, { recursive: true })
for (const [file, board] of Object.entries(boards())) writeFileSync(new URL(file, DIRECTORY), textOfBoard(board))
