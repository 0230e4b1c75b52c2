/** What one provider of the demo is: its people, what can be asked of them, and what its API tells. */

export interface ServiceAccount {
  /** The account's unique identifier; it never changes. */
  readonly id: string
  /** Who uses it. */
  readonly person: string
  /** What it is: a workspace, a house. */
  readonly name: string
  /** Where it is, in a few words. */
  readonly place: string
}

/** What an API answers to whoever has this account. */
export interface ApiRoute {
  /** As Express reads it. */
  readonly path: string
  /** Needed, unless it is open to every token. */
  readonly scope?: string
  readonly answer: (account: ServiceAccount, parameters: Readonly<Record<string, string>>) => ApiAnswer
}

export interface ApiAnswer {
  readonly status?: number
  readonly body: unknown
}

export interface Service {
  /** In the names of its files, cookies and style. */
  readonly key: string
  readonly name: string
  readonly slogan: string
  readonly accountWord: string
  readonly accounts: readonly ServiceAccount[]
  /** Scopes, and what they mean to the person who is asked. */
  readonly scopes: Readonly<Record<string, string>>
  /** Whether each refresh token is good for one use. */
  readonly rotates: boolean
  readonly api: readonly ApiRoute[]
}
