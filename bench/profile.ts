/** `node bench/profile.ts FILE.cpuprofile`: where the main thread's time went, by part and by function. */
import { readFileSync } from 'node:fs'

interface Frame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}

/** What V8 writes: samples of node ids, and the microseconds before each. */
export interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: Frame }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface Share {
  readonly name: string
  readonly milliseconds: number
  /** The share of the thread's busy time. */
  readonly share: number
}

const IDLE = '(idle)'

/** Self time, the longest first. `nameOf` groups the frames. */
export function selfTimes(profile: CpuProfile, nameOf: (frame: Frame) => string): Share[] {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]))
  const micros = new Map<string, number>()
  let busy = 0
  for (const [i, id] of profile.samples.entries()) {
    const frame = frames.get(id)
    if (frame === undefined || frame.functionName === IDLE) continue
    // Clocks of sampler and thread may disagree by a little: never count backwards.
    const delta = Math.max(0, profile.timeDeltas[i] ?? 0)
    busy += delta
    micros.set(nameOf(frame), (micros.get(nameOf(frame)) ?? 0) + delta)
  }
  return [...micros]
    .map(([name, spent]) => ({ name, milliseconds: spent / 1000, share: busy === 0 ? 0 : spent / busy }))
    .sort((a, b) => b.milliseconds - a.milliseconds)
}

/** `orders/order.ts judge:52`, or V8's own `(program)`, or a built-in by its name. */
export function functionOf({ functionName, url, lineNumber }: Frame): string {
  const name = functionName || '(anonymous)'
  return url === '' ? name : `${fileOf(url)} ${name}:${lineNumber + 1}`
}

/** A module of src/, a package, `node:`, or V8. */
export function partOf({ functionName, url }: Frame): string {
  if (url === '') return functionName.startsWith('(') ? functionName : 'V8 and native calls'
  if (url.startsWith('node:')) return 'node:'
  const file = fileOf(url)
  return file.startsWith('node_modules/')
    ? (/^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? file)
    : file.slice(0, file.lastIndexOf('/') + 1)
}

function fileOf(url: string): string {
  return /(node_modules\/(?!.*node_modules\/).*|src\/.*)$/.exec(url)?.[1] ?? url
}

if (import.meta.main) {
  const [file] = process.argv.slice(2)
  if (file === undefined) {
    console.error('usage: node bench/profile.ts FILE.cpuprofile')
    process.exit(2)
  }
  const profile = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile
  for (const [title, nameOf, most] of [['by part', partOf, 20] as const, ['by function', functionOf, 45] as const]) {
    console.log(`\n${title} (self time; share of busy time)`)
    for (const { name, milliseconds, share } of selfTimes(profile, nameOf).slice(0, most)) {
      console.log(`${milliseconds.toFixed(0).padStart(8)} ms ${(share * 100).toFixed(1).padStart(5)} %  ${name}`)
    }
  }
}
