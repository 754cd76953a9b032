-- Up Migration

-- Who runs: a migration that takes from a version what it works with is refused while a process of that version runs.
CREATE TABLE processes (
  id         uuid        PRIMARY KEY,
  version    text        NOT NULL,
  migration  text        NOT NULL,
  roles      text[]      NOT NULL,
  host       text        NOT NULL,
  pid        integer     NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50); -- room for the next version on the same page: each process renews its row every few seconds
COMMENT ON COLUMN processes.migration IS 'the newest that this process knows, and so needs';
COMMENT ON COLUMN processes.seen_at IS 'one that has ended removes its row; one that was killed stops renewing it';

-- What a version that does not have the file of a migration must know of it.
CREATE TABLE breaking_migrations (
  name   text PRIMARY KEY,
  before text NOT NULL
);
COMMENT ON TABLE breaking_migrations IS 'migrations that versions before a certain one cannot work with, once they are applied';
COMMENT ON COLUMN breaking_migrations.before IS 'the first version that can';

-- Other users may do with these what they may do with the starts of consumers, also its owner where another one migrates.
DO $$
DECLARE
  given record;
BEGIN
  FOR given IN
    SELECT DISTINCT acl.privilege_type, CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS to_whom
    FROM pg_class CROSS JOIN aclexplode(coalesce(relacl, acldefault('r', relowner))) AS acl
    WHERE pg_class.oid = 'consumer_starts'::regclass AND pg_get_userbyid(acl.grantee) <> current_user
      AND acl.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
  LOOP
    EXECUTE format('GRANT %s ON processes, breaking_migrations TO %s', given.privilege_type, given.to_whom);
  END LOOP;
END $$;

-- Down Migration

DROP TABLE breaking_migrations;
DROP TABLE processes;
