import { identifier, shortened } from './identifiers.ts'
import type { LiveTable } from './live-tables.ts'
import { createIndex, createTable, type MigrationSql, type WantedTable } from './wanted-tables.ts'

/** Tables that are divided by a hash of the key: the key leads every primary key, so each row is found in one part. */

/** Creates a table in so many parts, with its indexes. */
export function createInParts(wanted: WantedTable, key: string, parts: number): MigrationSql {
  const { name, indexes } = wanted
  const { up, down } = createTable({ ...wanted, indexes: [] })
  return {
    up: [
      up.replace(/;$/, ` PARTITION BY HASH (${identifier(key)});`),
      ...partsOf(name, parts),
      ...indexes.map(index => createIndex(name, index)),
    ].join('\n'),
    down,
  }
}

/**
 * Divides a table that is there, with what it holds. It is copied as a whole under a lock that also keeps readers out. Its indexes
 * keep their names, because later migrations know them by those.
 */
export function divideTable(
  name: string,
  { primaryKey, indexes }: LiveTable,
  key: string,
  parts: number,
): MigrationSql {
  const again = [
    ...(primaryKey === undefined
      ? []
      : [
          `ALTER TABLE ${identifier(name)} ADD CONSTRAINT ${identifier(primaryKey.constraint)} PRIMARY KEY (${primaryKey.columns.map(identifier).join(', ')});`,
        ]),
    ...indexes.filter(index => index.name !== primaryKey?.constraint).map(index => createIndex(name, index)),
  ]
  const replace = (former: string, division: string, partitions: readonly string[]) =>
    [
      `ALTER TABLE ${identifier(name)} RENAME TO ${identifier(former)};`,
      `CREATE TABLE ${identifier(name)} (LIKE ${identifier(former)} INCLUDING ALL EXCLUDING INDEXES)${division};`,
      ...partitions,
      `INSERT INTO ${identifier(name)} SELECT * FROM ${identifier(former)};`,
      `DROP TABLE ${identifier(former)};`,
      ...again,
    ].join('\n')
  return {
    up: replace(shortened(`${name}_whole`), ` PARTITION BY HASH (${identifier(key)})`, partsOf(name, parts)),
    down: replace(shortened(`${name}_parts`), '', []),
  }
}

function partsOf(name: string, parts: number): string[] {
  return Array.from(
    { length: parts },
    (_, part) =>
      `CREATE TABLE ${identifier(shortened(`${name}_${part}`))} PARTITION OF ${identifier(name)} FOR VALUES WITH (MODULUS ${parts}, REMAINDER ${part});`,
  )
}
