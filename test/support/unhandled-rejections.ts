/** Rejections that nobody handles end a Node process; here they are counted instead. */

export async function unhandledRejections<T>(
  run: () => Promise<T>,
): Promise<{ result: T; rejections: readonly unknown[] }> {
  const rejections: unknown[] = []
  const others = process.listeners('unhandledRejection')
  const count = (reason: unknown) => void rejections.push(reason)
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', count)
  try {
    const result = await run()
    // They are told after the microtasks of a turn.
    await new Promise((resolve) => setTimeout(resolve, 20))
    return { result, rejections }
  } finally {
    process.off('unhandledRejection', count)
    for (const other of others) process.on('unhandledRejection', other)
  }
}
