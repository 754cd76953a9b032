import { identifier, qualified, shortened } from './identifiers.ts'
import type { LiveTable } from './live-tables.ts'
import { createIndex, createTable, type MigrationSql, type WantedTable } from './wanted-tables.ts'

/** Tables that are divided by a hash of the key: the key leads every primary key, so each row is found in one part. */

/** Creates a table in so many parts, with its indexes. */
export function createInParts(wanted: WantedTable, key: string, parts: number): MigrationSql {
  const { sqlName, indexes } = wanted
  const { up, down } = createTable({ ...wanted, indexes: [] })
  return {
    up: [
      up.replace(/;$/, ` PARTITION BY HASH (${identifier(key)});`),
      ...partsOf(wanted, parts),
      ...indexes.map(index => createIndex(sqlName, index)),
    ].join('\n'),
    down,
  }
}

/**
 * Divides a table that is there, with what it holds. It is copied as a whole under a lock that also keeps readers out. Its indexes
 * keep their names, because later migrations know them by those.
 */
export function divideTable(
  wanted: WantedTable,
  { primaryKey, indexes }: LiveTable,
  key: string,
  parts: number,
): MigrationSql {
  const { schema, name, sqlName } = wanted
  const again = [
    ...(primaryKey === undefined
      ? []
      : [
          `ALTER TABLE ${sqlName} ADD CONSTRAINT ${identifier(primaryKey.constraint)} PRIMARY KEY (${primaryKey.columns.map(identifier).join(', ')});`,
        ]),
    ...indexes.filter(index => index.name !== primaryKey?.constraint).map(index => createIndex(sqlName, index)),
  ]
  const replace = (formerName: string, division: string, partitions: readonly string[]) => {
    const former = qualified(schema, formerName)
    return [
      `ALTER TABLE ${sqlName} RENAME TO ${identifier(formerName)};`,
      `CREATE TABLE ${sqlName} (LIKE ${former} INCLUDING ALL EXCLUDING INDEXES)${division};`,
      ...partitions,
      `INSERT INTO ${sqlName} SELECT * FROM ${former};`,
      `DROP TABLE ${former};`,
      ...again,
    ].join('\n')
  }
  return {
    up: replace(shortened(`${name}_whole`), ` PARTITION BY HASH (${identifier(key)})`, partsOf(wanted, parts)),
    down: replace(shortened(`${name}_parts`), '', []),
  }
}

function partsOf({ schema, name, sqlName }: WantedTable, parts: number): string[] {
  return Array.from(
    { length: parts },
    (_, part) =>
      `CREATE TABLE ${qualified(schema, shortened(`${name}_${part}`))} PARTITION OF ${sqlName} FOR VALUES WITH (MODULUS ${parts}, REMAINDER ${part});`,
  )
}
