/**
 * The inside of a worker: a process that a campaign starts, asks for things by messages, and may kill at any moment.
 * `workers.ts` is the outside. An entry file calls `serveCommands` once and exports the shape of its worker as a type.
 */

/** What a worker is given at its start, what it says when it is ready, and what it can be asked. All of it is JSON. */
export interface WorkerShape {
  readonly args: unknown
  readonly ready: unknown
  readonly commands: Commands
}

/** By name; each takes one argument or none. */
export type Commands = object

export interface Question {
  readonly id: number
  readonly name: string
  readonly argument: unknown
}

export type Message =
  | { readonly type: 'ready'; readonly ready: unknown }
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'failure'; readonly id: number; readonly error: string }
  | { readonly type: 'rejection'; readonly reason: string }

/** The environment variable that carries the arguments. */
export const argsVariable = 'CAMPAIGN_WORKER_ARGS'

/**
 * Starts, says that it is ready, and answers until the campaign lets go of it. Rejections that nobody handles are told
 * to the campaign in place of ending the process; anything else that is thrown ends it, as it would an app.
 */
export async function serveCommands<S extends WorkerShape>(
  start: (args: S['args']) => Promise<{ ready: S['ready']; commands: S['commands'] }>,
): Promise<void> {
  process.on('disconnect', () => process.exit(0))
  process.on('unhandledRejection', (reason) => tell({ type: 'rejection', reason: described(reason) }))
  const { ready, commands } = await start(JSON.parse(process.env[argsVariable] ?? 'null') as S['args'])
  process.on('message', (question: Question) => void answer(commands, question))
  tell({ type: 'ready', ready })
}

async function answer(commands: Commands, { id, name, argument }: Question): Promise<void> {
  try {
    const command: unknown = Object.entries(commands).find(([key]) => key === name)?.[1]
    if (typeof command !== 'function') throw new Error(`this worker has no command ${name}`)
    tell({ type: 'answer', id, value: await command(argument) })
  } catch (error) {
    tell({ type: 'failure', id, error: described(error) })
  }
}

function tell(message: Message): void {
  process.send?.(message)
}

function described(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
}
