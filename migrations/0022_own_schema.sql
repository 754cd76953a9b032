-- Up Migration

-- Our own tables stand in a schema of their own (PG_SCHEMA), and those of the stream `orders` in public, so that tables of other programs in
-- public are never in the way. The search path names our schema first, and then public.
--
-- A new installation has made all tables in our schema: those of the stream go to public, unless another program or installation has
-- tables of these names there. An existing one has made them in public, and they are moved; each leaves a view there, under its old name, with
-- the same rights, also for the owner of the table where another user migrates: processes of the version before go on through them. Views of
-- one table take INSERT, UPDATE, DELETE and locks.
-- Where it stands which migrations were applied, a table stays that ours inherits and that passes on what is inserted: "migrate up" of the
-- version before, which a deployment that goes back may run, adds a primary key to anything that has none.
DO $$
DECLARE
  home     CONSTANT text := current_schema();
  -- In the order in which a batch takes them, so that the two do not wait for one another.
  shared   CONSTANT text[] := '{stream_progress, dead_letters, dead_letters_purged, dead_letters_purged_counts, dead_letter_events, replays,
    replay_items, replay_items_purged, value_count_changes, stream_ledger, stream_pauses, stream_moves, proof_checkpoints, audit_log, switches,
    consumer_starts, timeline_steps, causes, notices, pgmigrations_project, pgmigrations}';
  is_new   CONSTANT boolean := to_regclass(format('%I.pgmigrations', home)) IS NOT NULL;
  stands   boolean;
  moving   text;
  kind     text;
  given    record;
BEGIN
  IF home = 'public' THEN RAISE EXCEPTION 'the schema of PG_SCHEMA is not there'; END IF;
  IF is_new THEN
    FOREACH moving IN ARRAY '{orders, deliveries, payments, items}'::text[] LOOP
      CONTINUE WHEN to_regclass(format('%I.%I', home, moving)) IS NULL;
      IF to_regclass(format('public.%I', moving)) IS NULL THEN
        EXECUTE format('ALTER TABLE %I.%I SET SCHEMA public', home, moving);
      ELSE
        EXECUTE format('DROP TABLE %I.%I', home, moving);
      END IF;
    END LOOP;
    RETURN;
  END IF;

  FOREACH moving IN ARRAY shared LOOP
    -- One that a migration of this run has made stands in our schema, and that in public, if any, is of another program.
    stands := to_regclass(format('%I.%I', home, moving)) IS NOT NULL;
    CONTINUE WHEN to_regclass(format('public.%I', moving)) IS NULL;
    IF stands AND NOT EXISTS (
      SELECT FROM pg_class WHERE oid = to_regclass(format('%I.%I', home, moving)) AND xmin::text = pg_current_xact_id()::xid::text
    ) THEN
      RAISE EXCEPTION '%.% is of another program, and ours would have to stand there: rename it first, or let PG_SCHEMA name another schema',
        home, moving;
    END IF;
    CONTINUE WHEN stands;
    EXECUTE format('ALTER TABLE public.%I SET SCHEMA %I', moving, home);
    IF moving LIKE 'pgmigrations%' THEN
      EXECUTE format('CREATE TABLE public.%I (id integer PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL)', moving);
      EXECUTE format('ALTER TABLE %I.%I INHERIT public.%I', home, moving, moving);
      EXECUTE format('CREATE RULE passed_on AS ON INSERT TO public.%I DO INSTEAD INSERT INTO %I.%I (name, run_on) VALUES (new.name, new.run_on)',
        moving, home, moving);
      kind := 'TABLE';
    ELSE
      EXECUTE format('CREATE VIEW public.%I AS SELECT * FROM %I.%I', moving, home, moving);
      kind := 'VIEW';
    END IF;
    EXECUTE format('COMMENT ON %s public.%I IS %L', kind, moving,
      format('Holdfast: for processes of a version before the tables moved to %I; nothing else needs it', home));
    FOR given IN
      SELECT DISTINCT acl.privilege_type, CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS to_whom
      FROM pg_class CROSS JOIN aclexplode(coalesce(relacl, acldefault('r', relowner))) AS acl
      WHERE pg_class.oid = to_regclass(format('%I.%I', home, moving)) AND pg_get_userbyid(acl.grantee) <> current_user
        AND acl.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
      EXECUTE format('GRANT USAGE ON SCHEMA %I TO %s', home, given.to_whom);
      EXECUTE format('GRANT %s ON public.%I TO %s', given.privilege_type, moving, given.to_whom);
    END LOOP;
  END LOOP;
END $$;

-- Down Migration

-- The version before has all tables in public. What they stand beside there stays; a table of another program that has the name of one of
-- ours must go first.
DO $$
DECLARE
  home     CONSTANT text := current_schema();
  shared   CONSTANT text[] := '{stream_progress, dead_letters, dead_letters_purged, dead_letters_purged_counts, dead_letter_events, replays,
    replay_items, replay_items_purged, value_count_changes, stream_ledger, stream_pauses, stream_moves, proof_checkpoints, audit_log, switches,
    consumer_starts, timeline_steps, causes, notices, pgmigrations_project, pgmigrations}';
  stands   regclass;
  is_left  boolean;
  moving   text;
BEGIN
  FOREACH moving IN ARRAY shared LOOP
    CONTINUE WHEN to_regclass(format('%I.%I', home, moving)) IS NULL;
    stands := to_regclass(format('public.%I', moving));
    is_left := coalesce(obj_description(stands, 'pg_class') LIKE 'Holdfast: %', false);
    -- What leads to a table of ours is ours, by whatever name our schema went when it was left there.
    IF is_left AND NOT EXISTS (
      SELECT FROM pg_rewrite JOIN pg_depend ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid
      WHERE ev_class = stands AND refclassid = 'pg_class'::regclass AND refobjid = to_regclass(format('%I.%I', home, moving))
    ) THEN
      RAISE EXCEPTION 'public.% serves the version before of another installation in this database, and ours would have to stand there: '
        'take that one back, or drop what it has left in public', moving;
    ELSIF is_left THEN
      IF moving LIKE 'pgmigrations%' THEN
        EXECUTE format('ALTER TABLE %I.%I NO INHERIT public.%I', home, moving, moving);
        EXECUTE format('DROP TABLE public.%I', moving);
      ELSE
        EXECUTE format('DROP VIEW public.%I', moving);
      END IF;
    ELSIF stands IS NOT NULL THEN
      RAISE EXCEPTION 'public.% is of another program, and ours would have to stand there: rename it first', moving;
    END IF;
    EXECUTE format('ALTER TABLE %I.%I SET SCHEMA public', home, moving);
  END LOOP;
  -- The runner takes this migration out of the table in its old place, and removes the view afterwards.
  EXECUTE format('CREATE VIEW %I.pgmigrations AS SELECT * FROM public.pgmigrations', home);
END $$;
