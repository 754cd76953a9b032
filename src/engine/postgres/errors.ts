import pg from 'pg'
import {
  RecordRefusedError,
  StoreContendedError,
  StoreMisconfiguredError,
  StoreRejectedError,
  StoreUnavailableError,
  StreamError,
} from '../errors.ts'

/** What a failure of the server means to us. `undecided`: only bisection shows whether the record is at fault. */
export type FailureClass = 'unavailable' | 'contended' | 'refused' | 'misconfigured' | 'undecided'

/**
 * SQLSTATE -> what it means. Whole codes come before classes (their first two characters). The table names what is certain;
 * what is in neither table is undecided: an exception that a trigger raises carries whatever code its author chose.
 * Source of the codes: PostgreSQL manual, appendix A; each row was met or reasoned about in the fault runs.
 */
const CODES: Readonly<Record<string, readonly [FailureClass, string]>> = {
  '25006': ['unavailable', 'the server is read-only, as after a failover'],
  '25P03': ['unavailable', 'the transaction idled too long'],
  '25P04': ['unavailable', 'the transaction took too long'],
  '40001': ['contended', 'a serialization failure'],
  '40003': ['unavailable', 'whether the statement took effect is unknown'],
  '40P01': ['contended', 'a deadlock'],
  '55006': ['unavailable', 'an object is in use'],
  '55P03': ['contended', 'a lock was not to be had in time'],
  '57014': ['contended', 'the statement took too long, or was cancelled'],
  '57P01': ['unavailable', 'the server is shutting down, or ended the session'],
  '57P02': ['unavailable', 'the server is shutting down after a crash'],
  '57P03': ['unavailable', 'the server is starting up or shutting down'],
  '57P04': ['unavailable', 'the database was dropped'],
  '57P05': ['unavailable', 'the session idled too long'],
  '58030': ['unavailable', 'the server met an I/O error'],
  // A bug in the client's use of the protocol, which no retry resolves. Of a pooler it means anything: see POOLER_REFUSALS.
  '08P01': ['misconfigured', 'a protocol violation'],
  // Statement and schema do not fit each other: found while the statement is prepared, whatever its rows hold.
  '42601': ['misconfigured', 'a syntax error'],
  '42703': ['misconfigured', 'a column is missing'],
  '42P05': ['misconfigured', 'a prepared statement is there already, as behind a pooler that keeps no account of them'],
  '42804': ['misconfigured', 'a column has another type'],
  '42883': ['misconfigured', 'a function is missing'],
  '42P01': ['misconfigured', 'a table is missing'],
  '42P10': ['misconfigured', 'a unique index is missing'],
  // Undecided like every code that is not listed; listed for their words.
  '42501': ['undecided', 'a right is missing, or row-level security forbids the row'],
  '44000': ['undecided', "the row violates a view's check option"],
  P0001: ['undecided', 'a trigger or function raised an exception'],
}
const CLASSES: Readonly<Record<string, readonly [FailureClass, string]>> = {
  '08': ['unavailable', 'the connection failed'],
  '22': ['refused', 'a value does not fit its column'],
  '23': ['refused', 'a constraint is violated'],
  '25': ['misconfigured', 'the transaction is in the wrong state'],
  '26': ['misconfigured', 'a prepared statement is missing, as behind a pooler that keeps no account of them'],
  '28': ['misconfigured', 'the login failed'],
  '3D': ['misconfigured', 'the database is missing'],
  '3F': ['misconfigured', 'the schema is missing'],
  '40': ['contended', 'the transaction was rolled back'],
  '53': ['unavailable', 'the server is out of resources'],
  '54': ['refused', 'a value is beyond a limit of the server'],
}

const STATEMENTS_REMEDY =
  'set PG_PREPARED_STATEMENTS=off, or let the pooler keep account of them (max_prepared_statements in PgBouncer, from 1.21 on)'

/**
 * What would help. Only these classes quote the server's text, and only where the server itself wrote it: then it names
 * relations, columns, roles, and no row. The text of an exception that a function raises may quote the row.
 */
const REMEDIES: readonly (readonly [prefix: string, remedy: string])[] = [
  ['42P05', STATEMENTS_REMEDY],
  ['26', STATEMENTS_REMEDY],
  ['42P01', 'run: holdfast migrate up'],
  ['42703', 'run: holdfast migrate up'],
  ['42883', 'run: holdfast migrate up'],
  ['42P10', 'run: holdfast migrate up'],
  ['42501', 'grant this right to the user of DATABASE_URL'],
  ['42', 'run: holdfast migrate status'],
  ['28', 'check user and password in DATABASE_URL'],
  ['3D', 'create it, or correct DATABASE_URL'],
  ['3F', 'create it, or correct DATABASE_URL'],
]

/** Errors of the client that no retry resolves: TLS that does not fit, a password that is missing. */
const FATAL_CODES = /^(ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT|UNABLE_TO_)/
const FATAL_TEXTS = /^(SASL: |The server does not support SSL connections|Password must be a string)/

/** What would help against those, by code and text. */
const CLIENT_REMEDIES: readonly (readonly [RegExp, string])[] = [
  [
    /SELF_SIGNED|UNABLE_TO_/,
    'name the authority that signed the server: DATABASE_URL with ?sslmode=verify-full&sslrootcert=FILE',
  ],
  [/ERR_TLS_CERT_ALTNAME/, 'name the server in DATABASE_URL as its certificate does, or give it another certificate'],
  [/CERT_HAS_EXPIRED/, 'renew the certificate of the server'],
  [
    /SSL_\w*ALERT_(UNKNOWN_CA|\w*CERTIFICATE)/,
    'name a certificate that the server trusts: sslcert and sslkey in DATABASE_URL',
  ],
  [/does not support SSL/, 'set ssl=on on the server, or take sslmode out of DATABASE_URL'],
  [/password must be/i, 'put the password into DATABASE_URL: the server asks for one'],
]

/** What pg_hba.conf asks for beside a user and a password, by the server's own words. */
const LOGIN_REMEDIES: readonly (readonly [RegExp, string])[] = [
  [
    /requires a valid client certificate/,
    'name the certificate of this user: DATABASE_URL with sslmode=verify-full&sslcert=FILE&sslkey=FILE',
  ],
  [/certificate authentication failed/, 'the name in the certificate (sslcert) must be the user of DATABASE_URL'],
  [
    /no pg_hba\.conf entry .*no encryption/,
    'the server may take encrypted connections only: add sslmode=verify-full to DATABASE_URL',
  ],
]

/**
 * PgBouncer reports nearly everything of its own as a protocol violation (08P01): that it shuts down, that it waits for a server in vain,
 * that a session was lost (`invalid server parameter`: while PgBouncer readied it). Those are outages. These texts are not; what would
 * help, by text. Other poolers have codes of the class 08 for both.
 */
const POOLER_REFUSALS: readonly (readonly [RegExp, remedy: string])[] = [
  [
    /statement pooling mode/,
    'set pool_mode to session or transaction in the pooler: it takes no transactions as it is',
  ],
  [
    /unsupported (?:options )?startup parameter/,
    'take what sets it out of DATABASE_URL; the limits of Holdfast are set in each transaction',
  ],
  [/prepared statement/, STATEMENTS_REMEDY],
  [/PQexec disallowed/, 'set disable_pqexec = 0 in the pooler'],
  [/^SSL required/, 'the pooler takes TLS only: add ?sslmode=verify-full to DATABASE_URL'],
  [
    /no such (?:user|database)|does not exist|authentication|login rejected|password|pg_hba|no auth/i,
    'check user, password and database in DATABASE_URL, and those that the pooler knows',
  ],
]

/** The server itself names the place in its source in every error; no pooler does. */
function isOfPooler(error: pg.DatabaseError): boolean {
  return error.routine === undefined && error.file === undefined
}

/**
 * Translates what `pg` throws. Errors that neither the server nor the connection made (a bug of ours) pass through as
 * they are: they are unexpected.
 *
 * The server's message and detail may quote the row that it refuses (`Failing row contains (…)`), so neither they nor
 * the original error, which holds them, are kept: only SQLSTATE and the names of table, column and constraint.
 */
export function toStoreError(error: unknown): Error {
  if (error instanceof StreamError) return error
  if (error instanceof pg.DatabaseError) return fromServer(error)
  if (!(error instanceof Error)) return new Error(`pg threw what is no error: ${typeof error}`)
  if (error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError) return error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (FATAL_CODES.test(code) || FATAL_TEXTS.test(error.message)) {
    const remedy = CLIENT_REMEDIES.find(([pattern]) => pattern.test(`${code} ${error.message}`))?.[1]
    return new StoreMisconfiguredError(`cannot connect to Postgres: ${error.message}`, {
      cause: error,
      remedy: remedy ?? 'check DATABASE_URL',
    })
  }
  // An AggregateError (a host with several addresses) has no message of its own.
  return new StoreUnavailableError(`Postgres is away: ${error.message || code}`, { cause: error })
}

/** What a SQLSTATE means to us, and in words. */
function classify(sqlState: string): readonly [FailureClass, string] {
  return CODES[sqlState] ?? CLASSES[sqlState.slice(0, 2)] ?? ['undecided', 'the server rejects the statement']
}

/**
 * An object is not in the state that the statement needs. Without a function that raised it, as for a primary key that was made
 * deferrable while the stream runs, that is true of every record; an empty write passes.
 */
const STATE = '55000'
const OF_A_TABLE = ['misconfigured', 'a table is not in the state that the statement needs'] as const

function fromServer(error: pg.DatabaseError): StreamError {
  const sqlState = error.code ?? 'XX000'
  const [failure, words] = sqlState === STATE && error.where === undefined ? OF_A_TABLE : classify(sqlState)
  const options = { sqlState, cause: withoutData(error, sqlState) }
  if (sqlState === '08P01' && isOfPooler(error)) return fromPooler(error, options)
  switch (failure) {
    case 'unavailable':
      return new StoreUnavailableError(`Postgres is away: ${words} (SQLSTATE ${sqlState})`, options)
    case 'contended':
      return new StoreContendedError(`Postgres gave up on a batch: ${words} (SQLSTATE ${sqlState})`, options)
    case 'refused':
      return new RecordRefusedError(`Postgres refuses it: ${words}${placeOf(error)} (SQLSTATE ${sqlState})`, options)
    case 'undecided':
      return new StoreRejectedError(
        `Postgres rejects it: ${said(error, sqlState, words)}`,
        withRemedy(options, sqlState),
      )
    case 'misconfigured':
      return new StoreMisconfiguredError(`Postgres says: ${said(error, sqlState, words)}`, {
        ...withRemedy(options, sqlState),
        ...loginRemedy(error, sqlState),
      })
  }
}

/** A pooler has no row to quote: its text is kept. */
function fromPooler(
  { message }: pg.DatabaseError,
  options: { readonly cause: Error; readonly sqlState: string },
): StreamError {
  const what = `the pooler in front of Postgres says: ${message} (SQLSTATE ${options.sqlState})`
  const remedy = POOLER_REFUSALS.find(([pattern]) => pattern.test(message))?.[1]
  if (remedy !== undefined) return new StoreMisconfiguredError(what, { ...options, remedy })
  return new StoreUnavailableError(`Postgres is away: ${what}`, options)
}

function said(error: pg.DatabaseError, sqlState: string, words: string): string {
  // An error of a function has a context, and its author chose the text.
  const quotable = remedyOf(sqlState) !== undefined && error.where === undefined
  return `${quotable ? error.message : `${words}${placeOf(error)}`} (SQLSTATE ${sqlState})`
}

function remedyOf(sqlState: string): string | undefined {
  return REMEDIES.find(([prefix]) => sqlState.startsWith(prefix))?.[1]
}

function withRemedy<O extends object>(options: O, sqlState: string): O & { readonly remedy: string | undefined } {
  return { ...options, remedy: remedyOf(sqlState) }
}

function loginRemedy({ message }: pg.DatabaseError, sqlState: string): { readonly remedy?: string } {
  const found = sqlState.startsWith('28') ? LOGIN_REMEDIES.find(([pattern]) => pattern.test(message)) : undefined
  return found === undefined ? {} : { remedy: found[1] }
}

function placeOf({ table, column, constraint, where = '' }: pg.DatabaseError): string {
  if (constraint !== undefined) return `: ${constraint}${table === undefined ? '' : ` of ${table}`}`
  if (column !== undefined) return `: column ${column}${table === undefined ? '' : ` of ${table}`}`
  if (table !== undefined) return `: ${table}`
  // Only the name of the context is kept: the rest may quote a statement with its values.
  const [, name] = /^PL\/pgSQL function ([A-Za-z_][\w$.]*)\(/.exec(where) ?? []
  return name === undefined ? '' : `: function ${name}`
}

/** For the log: where it was thrown, without the texts that may quote a row. */
function withoutData(error: pg.DatabaseError, sqlState: string): Error {
  const cause = new Error(`SQLSTATE ${sqlState}${placeOf(error)}`)
  cause.name = 'PostgresError'
  const frames = error.stack?.split('\n').filter(line => /^\s+at /.test(line)) ?? []
  cause.stack = [`${cause.name}: ${cause.message}`, ...frames].join('\n')
  return cause
}
