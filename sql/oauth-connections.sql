-- The table of postgresConnectionStore() in express-oauth-kit, which needs that of oauth-store.sql, too. Where the app may
-- create tables, store.migrate() makes both.

CREATE TABLE IF NOT EXISTS "oauth_connections" (
  id text COLLATE "C" PRIMARY KEY,
  owner text COLLATE "C" NOT NULL,
  provider text COLLATE "C" NOT NULL,
  issuer text COLLATE "C" NOT NULL,
  account_id text COLLATE "C" NOT NULL,
  status text NOT NULL,
  reason text,
  label text NOT NULL,
  is_renamed boolean NOT NULL,
  fields text NOT NULL,
  client_id text NOT NULL,
  token_origin text NOT NULL,
  scope text NOT NULL,
  is_exclusive boolean NOT NULL,
  tokens text,
  created_at double precision NOT NULL,
  connected_at double precision NOT NULL,
  checked_at double precision NOT NULL,
  version integer NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS "oauth_connections_account"
  ON "oauth_connections" (provider, issuer, account_id, owner);
CREATE UNIQUE INDEX IF NOT EXISTS "oauth_connections_exclusive"
  ON "oauth_connections" (provider, issuer, account_id)
  WHERE is_exclusive AND status <> 'disconnected';
CREATE INDEX IF NOT EXISTS "oauth_connections_owner" ON "oauth_connections" (owner, created_at, id);
CREATE INDEX IF NOT EXISTS "oauth_connections_checked_at" ON "oauth_connections" (checked_at, id)
  WHERE tokens IS NOT NULL;
