import { inspect } from 'node:util'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import {
  dispositionOf,
  RecordRefusedError,
  StoreContendedError,
  StoreMisconfiguredError,
  StoreRejectedError,
  StoreUnavailableError,
} from '#src/engine/errors.ts'
import { toStoreError } from '#src/engine/postgres/errors.ts'

const SECRET = 'Ada Lovelace'

/** As the server sends it: texts and detail quote the row. */
function fromServer(code: string, over: Partial<pg.DatabaseError> = {}): pg.DatabaseError {
  const error = new pg.DatabaseError(`invalid input: "${SECRET}"`, 100, 'error')
  const place = { file: 'execMain.c', routine: 'ExecConstraints' }
  return Object.assign(error, {
    code,
    severity: 'ERROR',
    detail: `Failing row contains (${SECRET}).`,
    ...place,
    ...over,
  })
}

/** As PgBouncer sends what it says itself. */
function fromPooler(message: string): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError(message, 50, 'error'), { code: '08P01', severity: 'FATAL' })
}

function fromSocket(message: string, code?: string): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code })
}

it('a table in another state is no fault of a record, unless a function says so', () => {
  const constraint = { table: 'returns', constraint: 'returns_pkey' }
  const error = toStoreError(fromServer('55000', constraint))
  expect(error).toBeInstanceOf(StoreMisconfiguredError)
  expect(error.message).toBe(
    'Postgres says: a table is not in the state that the statement needs: returns_pkey of returns (SQLSTATE 55000)',
  )
  expect(toStoreError(fromServer('55000', { where: 'PL/pgSQL function f() line 1' }))).toBeInstanceOf(
    StoreRejectedError,
  )
})

describe('a SQLSTATE', () => {
  it.each([
    // The server is away, or must be left alone: nothing is wrong with what we ask.
    ...['08000', '08001', '08003', '08004', '08006'].map(code => [code, StoreUnavailableError] as const),
    ...['53000', '53100', '53200', '53300', '53400'].map(code => [code, StoreUnavailableError] as const),
    ...['57P01', '57P02', '57P03', '57P04', '57P05'].map(code => [code, StoreUnavailableError] as const),
    ...['25006', '25P03', '40003', '55006', '58030'].map(code => [code, StoreUnavailableError] as const),
    // It gave up on this work, which may pass the next time.
    ...['40001', '40P01', '55P03', '57014'].map(code => [code, StoreContendedError] as const),
    // It refuses what the record holds.
    ...['22001', '22003', '22008', '22021', '22P02', '22P05'].map(code => [code, RecordRefusedError] as const),
    ...['23502', '23503', '23505', '23514', '54000'].map(code => [code, RecordRefusedError] as const),
    // We are wrong: a missing migration, a missing right, a bug. Never the record.
    ...['42P01', '42703', '42601', '42804', '42883', '42P10'].map(code => [code, StoreMisconfiguredError] as const),
    ...['28000', '28P01', '3D000', '3F000', '08P01', '25P02', '26000', '42P05'].map(
      code => [code, StoreMisconfiguredError] as const,
    ),
    // Bisection has to tell: a trigger may raise any of them for one record, codes of its author's own among them.
    ...['P0001', '44000', '42501', 'ZX001', 'HV000', 'XX000'].map(code => [code, StoreRejectedError] as const),
    ...['0A000', '21000', '2F005', '38000', '39000', '42P17', 'F0000'].map(code => [code, StoreRejectedError] as const),
  ])('%s is a %o', (code, expected) => {
    expect(toStoreError(fromServer(code)).constructor).toBe(expected)
  })

  it('that decides nothing stops the stream as a misconfiguration does, where nothing can be bisected', () => {
    expect(dispositionOf(toStoreError(fromServer('P0001')))).toBe('halt')
    expect(toStoreError(fromServer('P0001'))).toBeInstanceOf(StoreMisconfiguredError)
  })

  it('of an exception names the function, and quotes neither its text nor its context', () => {
    const where = `PL/pgSQL function check_order() line 3 at RAISE\nSQL statement "INSERT INTO t VALUES ('${SECRET}')"`
    const error = toStoreError(fromServer('P0001', { where }))
    expect(error.message).toBe(
      'Postgres rejects it: a trigger or function raised an exception: function check_order (SQLSTATE P0001)',
    )
    expect(error).toMatchObject({ sqlState: 'P0001' })
  })

  it.each(['42501', '42P01', '28000', '3D000', '42704'])(
    "%s that a function raises: the text is its author's, and may quote the row",
    code => {
      const error = toStoreError(fromServer(code, { where: 'PL/pgSQL function f() line 1 at RAISE' }))
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(SECRET)
      expect(error.message).toContain('function f')
    },
  )

  it('is told, so that a dead letter can name it', () => {
    expect(toStoreError(fromServer('23514'))).toMatchObject({ sqlState: '23514' })
    expect(toStoreError(fromServer('40P01'))).toMatchObject({ sqlState: '40P01' })
  })

  it('names the constraint and its table', () => {
    const error = toStoreError(fromServer('23514', { table: 'payments', constraint: 'amount_is_sane' }))
    expect(error.message).toContain('amount_is_sane of payments')
  })

  it.each([
    'server conn crashed?',
    'query_wait_timeout',
    'server shutting down',
    'pooler is shutting down',
    'no more connections allowed (max_client_conn)',
    'server login has been failing, try again later (server_login_retry)',
    'client_idle_timeout',
    // As a server that shuts down answers when PgBouncer readies one of its sessions.
    'invalid server parameter',
    'server login has been failing, cached error: the database system is shutting down (server_login_retry)',
  ])('of a pooler that says "%s" is an outage', message => {
    const error = toStoreError(fromPooler(message))
    expect(error).toBeInstanceOf(StoreUnavailableError)
    expect(error.message).toBe(`Postgres is away: the pooler in front of Postgres says: ${message} (SQLSTATE 08P01)`)
  })

  it.each([
    ['unsupported startup parameter: search_path', /take what sets it out of DATABASE_URL/],
    ['unsupported startup parameter in options: lock_timeout', /take what sets it out of DATABASE_URL/],
    ['transaction blocks not allowed in statement pooling mode', /set pool_mode to session or transaction/],
    ['prepared statement did not exist', /set PG_PREPARED_STATEMENTS=off/],
    ['no such user', /check user, password and database/],
    ['SASL authentication failed', /check user, password and database/],
    ['server login has been failing, cached error: password authentication failed for user "a"', /check user/],
  ])('of a pooler that says "%s" is a mistake of the set-up, and the message says what to do', (message, remedy) => {
    const error = toStoreError(fromPooler(message))
    expect(error).toBeInstanceOf(StoreMisconfiguredError)
    expect(error).not.toBeInstanceOf(StoreRejectedError)
    expect(error.message).toMatch(remedy)
  })

  it.each(['26000', '42P05'])('%s names the setting for poolers that keep no account of statements', code => {
    const error = toStoreError(fromServer(code, { message: 'prepared statement "orders_upsert" …' }))
    expect(error.message).toContain('PG_PREPARED_STATEMENTS=off')
  })

  it('says what to do about a missing table', () => {
    const error = toStoreError(fromServer('42P01', { message: 'relation "orders" does not exist' }))
    expect(error.message).toContain('relation "orders" does not exist')
    expect(error.message).toContain('holdfast migrate up')
  })

  it.each(['22P02', '22003', '23502', '23514', '54000', '40001', '57014', '53100', 'XX000', 'P0001'])(
    '%s: nothing of the row shows, however deep a logger digs',
    code => {
      expect(inspect(toStoreError(fromServer(code)), { depth: 10, showHidden: true })).not.toContain(SECRET)
    },
  )
})

describe('an error without SQLSTATE', () => {
  it.each([
    ['connect ECONNREFUSED 127.0.0.1:5432', 'ECONNREFUSED'],
    ['read ECONNRESET', 'ECONNRESET'],
    ['getaddrinfo ENOTFOUND db', 'ENOTFOUND'],
    ['getaddrinfo EAI_AGAIN db', 'EAI_AGAIN'],
    // Five capital letters, as a SQLSTATE has, and none.
    ['write EPIPE', 'EPIPE'],
    ['Connection terminated unexpectedly', undefined],
    ['Connection terminated due to connection timeout', undefined],
    ['timeout exceeded when trying to connect', undefined],
    ['Query read timeout', undefined],
    ['Client has encountered a connection error and is not queryable', undefined],
  ])('%s: the store is away', (message, code) => {
    expect(toStoreError(fromSocket(message, code))).toBeInstanceOf(StoreUnavailableError)
  })

  it('says something of a host whose addresses all refuse', () => {
    const error = Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' })
    expect(toStoreError(error).message).toContain('ECONNREFUSED')
  })

  it.each([
    ['self-signed certificate', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['The server does not support SSL connections', undefined],
    ['SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string', undefined],
  ])('%s: no waiting cures it', (message, code) => {
    expect(toStoreError(fromSocket(message, code))).toBeInstanceOf(StoreMisconfiguredError)
  })

  it('stays what it is when it is a bug of ours, or was translated before', () => {
    const bug = new TypeError('x is not a function')
    const known = new StoreUnavailableError('away')
    expect(toStoreError(bug)).toBe(bug)
    expect(toStoreError(known)).toBe(known)
  })
})
