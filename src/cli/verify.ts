import type { Command } from 'commander'
import type { Verification } from './proof.ts'

interface VerifyOptions {
  readonly json?: boolean
  readonly deep?: boolean
  readonly repair?: boolean
  readonly because?: string
  readonly yes?: boolean
}

export function register(program: Command): void {
  program
    .command('verify')
    .description('prove that each consumed offset is accounted for')
    .option('--json', 'the proof as one JSON object')
    .option('--deep', 'read the topic again, and hold each record against the rows, value for value')
    .option('--repair', 'first set orders back that point beyond progress (audited)')
    .option('--because <text>', 'with --repair: why, for the audit log')
    .option('--yes', 'with --repair: do not ask')
    .addHelpText(
      'after',
      `
Holds the ledger, the tables, Kafka's committed offsets and the dead-letter topic against one another. Changes nothing and
may run beside the service.

Exit codes: 0 everything was asked and adds up; 1 a finding, with partition and offset; 2 usage; 4 no finding, but
something could not be asked (Kafka or Postgres away, a topic that this user may not see).

--deep reads what is settled and still in the topic: a record may not be newer than its order, and an order must hold the
value of the record that it names, in all four tables. It needs a quarter of a megabyte for each million offsets.

--repair changes orders that claim a position beyond progress (a forged header, a position edited by hand), and nothing
else: they get the position before every record, so that the next genuine version of the order replaces them. Their values
stay until then. "holdfast seek" reads versions again that were counted as stale meanwhile.

Examples:
  holdfast verify
  holdfast verify --json | jq .findings
  holdfast verify --deep
  holdfast verify --repair --because "forged positions of 2026-11-03"`,
    )
    .action(verify)
}

async function verify(options: VerifyOptions): Promise<void> {
  const [
    { loadConfig },
    { print },
    { CommandFailed },
    { verifyStream },
    { StreamError },
    { showProof, showReading, proofJson },
  ] = await Promise.all([
    import('../config.ts'),
    import('./output.ts'),
    import('./failure.ts'),
    import('./proof.ts'),
    import('../core/errors.ts'),
    import('./proof-words.ts'),
  ])
  const config = loadConfig(process.env)
  if (options.repair) await (await import('./verify-repair.ts')).repair(config, options)

  let proof: Verification
  const reading = options.deep ? showReading(options.json === true) : undefined
  try {
    proof = await verifyStream(config, reading === undefined ? {} : { deep: reading.update })
  } catch (error) {
    if (!(error instanceof StreamError)) throw error
    const unasked = [{ what: 'the database', why: error.message }]
    if (options.json) print(JSON.stringify({ verify: 'could_not_ask', findings: [], unasked }))
    throw new CommandFailed('nothing is proven: the database could not be asked', { exitCode: 4, cause: error })
  } finally {
    reading?.stop()
  }
  if (options.json) print(JSON.stringify(proofJson(proof)))
  else showProof(proof)
  const { findings, unasked } = proof
  if (findings.length > 0) {
    throw new CommandFailed(`the proof failed: ${findings.length} ${findings.length === 1 ? 'finding' : 'findings'}`)
  }
  if (unasked.length > 0) {
    throw new CommandFailed(
      `the proof is not complete: could not ask for ${unasked.map(({ what }) => what).join(', ')}`,
      {
        exitCode: 4,
      },
    )
  }
}
