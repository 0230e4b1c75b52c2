/**
 * Keeps two warnings of oidc-provider off the console. They are right for production and noise for a demo: that Node 20
 * is older than it likes, and that everything it knows is kept in memory. Import this before oidc-provider: it warns
 * while it is loaded.
 */

const harmless =
  /^\W*\S*oidc-provider WARNING: (Unsupported runtime|a quick start development-only in-memory adapter)/

const { warn } = console
console.warn = (...values: unknown[]) => {
  if (!harmless.test(String(values[0]))) warn(...values)
}
