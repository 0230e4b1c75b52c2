/** The two people who can sign in, and which scopes their accounts have. */

export interface Account {
  readonly username: string
  readonly name: string
  readonly email: string
  /** What the person is in the organization. Applications are told, and need not ask for a scope. */
  readonly roles: readonly string[]
  /** Whether the account can give an application this scope at all. */
  mayGrant(scope: string): boolean
}

const accounts: readonly Account[] = [
  {
    username: 'alice',
    name: 'Alice Archer',
    email: 'alice@example.com',
    roles: ['member', 'admin'],
    mayGrant: () => true,
  },
  {
    username: 'bob',
    name: 'Bob Baker',
    email: 'bob@example.com',
    roles: ['member'],
    mayGrant: (scope) => !scope.startsWith('admin:') && scope !== 'delete:projects',
  },
]

export function findAccount(username: unknown): Account | undefined {
  return accounts.find((account) => account.username === username)
}

/** The account that a user name and a password belong to. A demo: the password is the name. */
export function signIn(username: unknown, password: unknown): Account | undefined {
  return username === password ? findAccount(username) : undefined
}
