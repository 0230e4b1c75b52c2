/** Whose account a connection is, and what people call it: the functions of the app that read a provider's answer. */

import { isPromise } from '../app-answer.js'
import { OAuthError } from '../errors.js'
import type { AccountAnswer, ConnectionProvider } from './provider-options.js'

export interface AccountReader {
  /** Throws `account_unknown` when the answer does not say. */
  accountId(answer: AccountAnswer): string
  /** Never throws: nothing goes by a label. */
  label(answer: AccountAnswer): string
}

const longestAccountId = 250
const longestLabel = 100

/** `key` names the provider in `providers`, `name` is what people call it. */
export function accountReader(
  { key, name }: { key: string; name: string },
  options: Pick<ConnectionProvider, 'accountId' | 'label' | 'emailAsAccountId'>,
): AccountReader {
  let isWarned = false

  /** Once: whoever looks at each label would be told thousands of times by a sweep. */
  function warn(problem: string): void {
    if (isWarned) return
    isWarned = true
    process.emitWarning(
      `oauthConnections: the function in the option "providers.${key}.label" ${problem}; such connections are called "${name}". Give a text for whatever the provider answers.`,
      { code: 'OAUTH_CONNECTION_LABEL' },
    )
  }

  function unknownAccount(reason: string, hint: string, cause?: unknown): OAuthError {
    return new OAuthError('account_unknown', {
      message: `${name} does not say whose account it is`,
      reason,
      hint: `The function in the option "providers.${key}.accountId" ${hint}`,
      cause,
    })
  }

  function readId(answer: AccountAnswer): unknown {
    try {
      return options.accountId ? options.accountId(answer) : answer?.sub
    } catch (cause) {
      throw unknownAccount(
        'account_id_function',
        'threw an error at this answer. It must give a text or a whole number.',
        cause,
      )
    }
  }

  return {
    accountId(answer) {
      const id = readId(answer)
      // Beyond the safe integers, the parser of JSON makes one number of many: accounts would be taken for each other.
      const text = Number.isSafeInteger(id) ? String(id) : id
      if (
        isPromise(id) ||
        typeof text !== 'string' ||
        text === '' ||
        text.length > longestAccountId ||
        notPlain.test(text)
      )
        throw unknownAccount(
          'account_id',
          `must give one line of at most ${longestAccountId} characters, or a whole number that JSON keeps as it is (of at most 2^53 - 1).`,
        )
      // A `sub` is never given to another (OpenID Connect Core §2), an address is.
      if (options.accountId && options.emailAsAccountId !== true && email.test(text))
        throw unknownAccount(
          'account_id_email',
          'gave an e-mail address. Those change hands, and so would the connection: give the identifier that the provider has for the account. Where there is none, or it only looks like an address, set "emailAsAccountId".',
        )
      return text
    },

    label(answer) {
      let label: unknown
      try {
        label = options.label?.(answer)
      } catch (error) {
        warn(`threw ${error instanceof Error ? `a ${error.name}` : 'something'}`)
        return name
      }
      if (typeof label !== 'string' && typeof label !== 'number') {
        if (label !== undefined && label !== null) warn(`gave ${isPromise(label) ? 'a promise' : 'no text'}`)
        return name
      }
      return plainLabel(String(label)) || name
    },
  }
}

const notPlain = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u

const email = /^[^\s@]+@[^\s@]+\.[^\s@.]+$/

/**
 * One line of bounded length, without signs that turn the direction of what is written after it. It may be anything else,
 * HTML included: a page escapes it.
 */
export function plainLabel(text: string): string {
  const line = text
    .slice(0, 10 * longestLabel)
    .replaceAll(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+/gu, ' ')
    .replaceAll(/\p{Bidi_Control}/gu, '')
    .trim()
  return (
    line
      .slice(0, longestLabel)
      // Half a character at the end is none.
      .replace(/\p{Cs}$/u, '')
      .trim()
  )
}
