/** The clients of both generations of the MCP SDK, with a user's browser at hand. */
import { createServer } from 'node:http'
import * as sdk2 from '@modelcontextprotocol/client'
import * as auth1 from '@modelcontextprotocol/sdk/client/auth.js'
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { onTestFinished } from 'vitest'
import { openBrowser } from '../support/browser.js'
import { listening, stopped } from '../support/listening.js'

export const generations = ['1.x', '2.x'] as const
export type Generation = (typeof generations)[number]

export interface McpClient {
  /** Each authorization request, as the browser was sent there. */
  readonly authorizations: readonly URLSearchParams[]
  /** Signs in on the way, if need be. */
  connect(): Promise<void>
  /** The text that a tool answers. */
  call(tool: string): Promise<string>
  /** The same, once more after a sign-in if the client asked for one. */
  callSigningIn(tool: string): Promise<string>
  /** A sign-in for this scope that the app asks for by itself. */
  authorize(scope: string): Promise<void>
  /** The access token that it has. */
  token(): string
  /** Ends the session at the server. */
  terminate(): Promise<void>
}

type Sdk = (
  url: URL,
  user: User,
) => Omit<McpClient, 'authorizations' | 'callSigningIn' | 'token'> & {
  finishAuth(): Promise<void>
  close(): Promise<void>
  readonly Unauthorized: new (message?: string) => Error
}

const sdks: Readonly<Record<Generation, Sdk>> = {
  '1.x': (url, user) => {
    const client = new Client1({ name: 'test', version: '1.0.0' })
    let transport = new Transport1(url, { authProvider: user.provider })
    return {
      Unauthorized: auth1.UnauthorizedError,
      async connect() {
        transport = new Transport1(url, { authProvider: user.provider })
        await client.connect(transport)
      },
      call: async (name) => textOf(await client.callTool({ name, arguments: {} })),
      async authorize(scope) {
        user.forgetTokens()
        await auth1.auth(user.provider, { serverUrl: url, scope })
        await auth1.auth(user.provider, { serverUrl: url, authorizationCode: codeIn(user.callback()) })
      },
      finishAuth: async () => transport.finishAuth(codeIn(user.callback())),
      terminate: async () => transport.terminateSession(),
      close: async () => client.close(),
    }
  },
  '2.x': (url, user) => {
    const client = new sdk2.Client({ name: 'test', version: '1.0.0' })
    const transportNow = () => new sdk2.StreamableHTTPClientTransport(url, { authProvider: user.provider })
    let transport = transportNow()
    return {
      Unauthorized: sdk2.UnauthorizedError,
      async connect() {
        transport = transportNow()
        await client.connect(transport)
      },
      call: async (name) => textOf(await client.callTool({ name, arguments: {} })),
      async authorize(scope) {
        user.forgetTokens()
        await sdk2.auth(user.provider, { serverUrl: url, scope })
        await transport.finishAuth(user.callback())
      },
      finishAuth: async () => transport.finishAuth(user.callback()),
      terminate: async () => transport.terminateSession(),
      close: async () => client.close(),
    }
  },
}

export async function mcpClient(generation: Generation, url: string): Promise<McpClient> {
  const user = await startUser()
  const { Unauthorized, finishAuth, close, connect, call, ...sdk } = sdks[generation](new URL(url), user)
  onTestFinished(close)

  const signingIn = async <T>(run: () => Promise<T>): Promise<T> => {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof Unauthorized)) throw error
      await finishAuth()
      return run()
    }
  }
  return {
    ...sdk,
    authorizations: user.authorizations,
    token: () => user.provider.tokens()?.access_token ?? '',
    connect: async () => signingIn(connect),
    call,
    callSigningIn: async (tool) => signingIn(() => call(tool)),
  }
}

function textOf(result: object): string {
  const { content } = result as { content: { text?: string }[] }
  return content.map(({ text }) => text).join('')
}

function codeIn(callback: URLSearchParams): string {
  return callback.get('code') ?? `none, but ${callback.toString()}`
}

type User = Awaited<ReturnType<typeof startUser>>

/** What an app keeps for its user, and the user, who signs in and agrees. */
async function startUser() {
  const server = createServer((_req, res) => res.end('Go back to the app.'))
  const redirectUrl = `${await listening(server, 'localhost')}/callback`
  onTestFinished(() => stopped(server))
  const browser = openBrowser()
  const authorizations: URLSearchParams[] = []
  const information = kept<sdk2.StoredOAuthClientInformation>()
  const tokens = kept<sdk2.StoredOAuthTokens>()
  const verifier = kept<string>()
  const discovery = kept<sdk2.OAuthDiscoveryState>()
  return {
    authorizations,
    forgetTokens: () => tokens.keep(undefined),
    /** What came back from the authorization server. */
    callback: () => new URL(browser.page.url).searchParams,
    provider: {
      redirectUrl,
      clientMetadata: {
        client_name: 'test',
        redirect_uris: [redirectUrl],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
        application_type: 'native',
      },
      clientInformation: information.value,
      saveClientInformation: information.keep,
      tokens: tokens.value,
      saveTokens: tokens.keep,
      codeVerifier: () => verifier.value() ?? '',
      saveCodeVerifier: verifier.keep,
      discoveryState: discovery.value,
      saveDiscoveryState: discovery.keep,
      async redirectToAuthorization(url: URL) {
        authorizations.push(url.searchParams)
        await browser.visit(url.href)
      },
    },
  }
}

function kept<T>() {
  let value: T | undefined
  return { value: () => value, keep: (given: T | undefined) => void (value = given) }
}
