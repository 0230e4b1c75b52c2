/** The API as the app sees it: functions that take a `fetch` which shows whose request it is. */

import { isOAuthError, type ApiFetch } from 'express-oauth-kit'
import type { NewProject, Project, Report } from './projects.js'

export interface ApiClient {
  projects(fetch: ApiFetch): Promise<readonly Project[]>
  /** Nothing when it worked, otherwise what the API finds wrong with the project. */
  createProject(fetch: ApiFetch, project: NewProject): Promise<string | undefined>
  report(fetch: ApiFetch): Promise<Report>
}

/** The API cannot be reached, or did not do what it was asked. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
}

const deadline = 10_000

/** For a caller that brings a token of its own, which is for this very API. */
export function fetchWith(token: string): ApiFetch {
  return (url, { headers, ...init } = {}) => {
    const shown = new Headers(headers)
    shown.set('authorization', `Bearer ${token}`)
    return fetch(url, { ...init, headers: shown })
  }
}

export function apiClient(apiUrl: string): ApiClient {
  return {
    async projects(fetch) {
      const { projects } = await read<{ projects: Project[] }>('/v1/projects', fetch)
      return projects
    },
    async createProject(fetch, project) {
      const answer = await send('/v1/projects', fetch, project)
      if (answer.ok) return undefined
      const problem = await explanation(answer)
      if (answer.status === 400) return problem
      throw new ApiError(`the API answered ${answer.status}: ${problem}`)
    },
    report: (fetch) => read<Report>('/v1/admin/report', fetch),
  }

  async function read<T>(path: string, fetch: ApiFetch): Promise<T> {
    const answer = await send(path, fetch)
    if (answer.ok) return JSON.parse(await answer.text())
    throw new ApiError(`the API answered ${answer.status}: ${await explanation(answer)}`)
  }

  async function send(path: string, fetch: ApiFetch, body?: unknown): Promise<Response> {
    const content = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    try {
      return await fetch(new URL(path, apiUrl), {
        headers: { 'Content-Type': 'application/json' },
        ...content,
        signal: AbortSignal.timeout(deadline),
      })
    } catch (cause) {
      // There is no token for it, which says nothing about the API.
      if (isOAuthError(cause)) throw cause
      throw new ApiError(`the API at ${apiUrl} cannot be reached`, { cause })
    }
  }
}

async function explanation(answer: Response): Promise<string> {
  const body = await answer.json().catch(() => undefined)
  const { error_description: description }: Record<string, unknown> = { ...Object(body) }
  return typeof description === 'string' ? description : 'it does not say why'
}
