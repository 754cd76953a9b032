import { StreamError } from '../engine/errors.ts'
import type { Stream } from '../engine/stream.ts'
import type { Config } from '../settings/config.ts'
import { CommandFailed } from './failure.ts'
import type { ActingOptions } from './operator-name.ts'
import { print } from './output.ts'
import { type Verification, verifyStream } from './proof.ts'
import { proofJson, showProof, showReading } from './proof-words.ts'
import { loadSetup, namedOrAll } from './streams.ts'
import { repair } from './verify-repair.ts'
import { plural } from './words.ts'

interface VerifyOptions extends ActingOptions {
  readonly stream?: string
  readonly json?: boolean
  readonly deep?: boolean
  readonly full?: boolean
  readonly repair?: boolean
  readonly yes?: boolean
}

/** How the proof of one stream ended; `error`: the database, without which nothing is proven, could not be asked. */
type Proven =
  | { readonly stream: Stream; readonly proof: Verification }
  | { readonly stream: Stream; readonly proof: undefined; readonly error: StreamError }

/** @throws CommandFailed when a proof failed (1), or a part of it could not be asked (4) */
export async function verify(options: VerifyOptions): Promise<void> {
  const setup = await loadSetup()
  const streams = namedOrAll(setup, options.stream)
  const proven: Proven[] = []
  for (const stream of streams) {
    if (options.repair) await repair(setup.config, stream, options)
    const one = await prove(setup.config, stream, options)
    proven.push(one)
    if (options.json) print(JSON.stringify(one.proof === undefined ? unprovenJson(one) : proofJson(one.proof)))
    else if (one.proof !== undefined) showProof(one.proof, streams.length > 1)
  }
  conclude(proven)
}

async function prove(config: Config, stream: Stream, options: VerifyOptions): Promise<Proven> {
  const reading = options.deep ? showReading(options.json === true) : undefined
  try {
    const { full = false } = options
    return {
      stream,
      proof: await verifyStream(config, stream, reading === undefined ? { full } : { deep: reading.update }),
    }
  } catch (error) {
    if (!(error instanceof StreamError)) throw error
    return { stream, proof: undefined, error }
  } finally {
    reading?.stop()
  }
}

function unprovenJson({ stream, error }: Extract<Proven, { readonly proof: undefined }>): object {
  const unasked = [{ what: 'the database', why: error.message }]
  return { verify: 'could_not_ask', stream: stream.name, findings: [], unasked }
}

/** A finding outweighs what could not be asked: it is certain. */
function conclude(proven: readonly Proven[]): void {
  const proofs = proven.flatMap(({ proof }) => proof ?? [])
  const failed = proofs.filter(({ findings }) => findings.length > 0)
  if (failed.length > 0) {
    const count = failed.reduce((sum, { findings }) => sum + findings.length, 0)
    const where = failed.map(({ stream }) => stream).join(', ')
    throw new CommandFailed(`the proof of ${where} failed: ${plural(count, 'finding')}`)
  }
  for (const one of proven) {
    if (one.proof !== undefined) continue
    throw new CommandFailed('nothing is proven: the database could not be asked', { exitCode: 4, cause: one.error })
  }
  const unasked = proofs.flatMap(({ unasked }) => unasked)
  if (unasked.length === 0) return
  const what = unasked.map(({ what }) => what).join(', ')
  throw new CommandFailed(`the proof is not complete: could not ask for ${what}`, { exitCode: 4 })
}
