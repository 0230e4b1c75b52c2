-- The table of postgresStore() in express-oauth-kit. Where the app may create tables, store.migrate() does the same.

CREATE TABLE IF NOT EXISTS "oauth_store" (
  key text COLLATE "C" PRIMARY KEY,
  value text NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS "oauth_store_expires_at" ON "oauth_store" (expires_at);
