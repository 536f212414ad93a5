/** What a real schema registry answered, as it was recorded, and the same requests asked of another. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { registryType, type RegistryRequest } from './registry-requests.ts'

export interface Answer {
  readonly status: number
  readonly contentType: string | null
  /** JSON where it is some, or else the text. */
  readonly body: unknown
}

export interface Exchange extends Omit<RegistryRequest, 'name'> {
  readonly answer: Answer
}

export interface Recording {
  readonly server: string
  readonly recorded: string
  readonly exchanges: readonly Exchange[]
}

export function recordedAnswers(): Recording {
  const root = (function find(folder: string): string {
    return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
  })(dirname(fileURLToPath(import.meta.url)))
  return JSON.parse(readFileSync(join(root, 'test/deploy/registry-recorded/karapace-6.2.0.json'), 'utf8')) as Recording
}

const basic = (credentials: string): string => `Basic ${Buffer.from(credentials).toString('base64')}`

/** `credentials`: of the user that a request is made as where it says nothing else. */
export async function ask(url: string, request: Omit<RegistryRequest, 'name'>, credentials?: string): Promise<Answer> {
  const { method, path, body, contentType = registryType, accept = registryType, as } = request
  const user = as === 'nobody' ? undefined : as === 'stranger' ? 'stranger:wrong' : credentials
  const response = await fetch(`${url}/${path}`, {
    method,
    headers: {
      accept,
      ...(body === undefined || contentType === null ? {} : { 'content-type': contentType }),
      ...(user === undefined ? {} : { authorization: basic(user) })
    },
    // As bytes, which have no content type of their own.
    ...(body === undefined ? {} : { body: Buffer.from(body) })
  })
  const text = await response.text()
  return { status: response.status, contentType: response.headers.get('content-type'), body: parsed(text) }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
