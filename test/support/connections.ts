/** Where `fetch` connects to, whoever calls it. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { onTestFinished } from 'vitest'

/** Hosts with their ports, one for each attempt until the test ends, also of those that fail. */
export function connections(): readonly string[] {
  const hosts: string[] = []
  const note = (message: unknown) => {
    const { connectParams } = message as { connectParams: { host: string } }
    hosts.push(connectParams.host)
  }
  subscribe('undici:client:beforeConnect', note)
  onTestFinished(() => void unsubscribe('undici:client:beforeConnect', note))
  return hosts
}
