/** The jobs in a bucket, or below a prefix of one: `<job>/lineages/<n>/…`, as in a directory. */
import { randomUUID } from 'node:crypto'
import { CodedError } from '../../../runtime/kernel/errors.ts'
import type { Clock } from '../../../runtime/ports/clock.ts'
import type { Lineages } from '../../lineages.ts'
import type { CheckpointStorage } from '../../storage.ts'
import { loadSigner } from './load-signer.ts'
import { reasonOf, S3Client, type S3Request } from './s3-client.ts'
import type { S3Options } from './s3-options.ts'
import { listFolder, S3Storage, tokenHeader } from './s3-storage.ts'

/** Who try to create one object at once, at start. */
const probers = 8

export class S3Root {
  private readonly client: S3Client

  private constructor(client: S3Client) {
    this.client = client
  }

  /** Sends nothing yet. Rejects with PACKAGE_MISSING. */
  static async open(options: S3Options, clock: Clock): Promise<S3Root> {
    return new S3Root(new S3Client(options, await loadSigner(), clock))
  }

  async jobs(): Promise<readonly string[]> {
    return (await listFolder(this.client, '')).folders
  }

  lineages(job: string): Lineages {
    const root = `${job}/lineages`
    return {
      list: async () => {
        const { folders } = await listFolder(this.client, `${root}/`)
        return folders
          .filter(name => /^[1-9]\d*$/.test(name))
          .map(Number)
          .sort((a, b) => a - b)
      },
      storage: lineage => this.storage(`${root}/${lineage}`)
    }
  }

  storage(folder: string): CheckpointStorage {
    return new S3Storage(this.client, folder)
  }

  /**
   * Tries whether the server does what the decision log stands on: of several who create one object one succeeds, it is what was sent, and it
   * can be listed and removed. Leaves nothing. Throws STORAGE_REFUSED; STORAGE_FAILED where there is no answer.
   */
  async verify(job: string): Promise<void> {
    const name = `${job}/probe/${randomUUID()}`
    const { shown, url } = this.client.options
    const { host } = new URL(url)
    const refused = (what: string, remedy?: string): CodedError =>
      new CodedError(
        'STORAGE_REFUSED',
        `storage "${shown}" on ${host}: ${what}`,
        remedy === undefined ? {} : { remedy }
      )
    const put = (token: string): S3Request => ({
      method: 'PUT',
      name,
      headers: { 'if-none-match': '*', [tokenHeader]: token },
      body: new TextEncoder().encode(token)
    })
    const first = await this.client.request(put('first'))
    if (first.status === 501)
      throw refused(`it does not know conditional writes (${reasonOf(first)})`, conditionalRemedy)
    // 412: it had been done, and the answer was lost.
    if (first.status !== 200 && first.status !== 412) {
      const { message, remedy } = this.client.refusal(put('first'), first)
      throw refused(message, remedy)
    }
    try {
      const later = await Promise.all(Array.from({ length: probers }, (_, i) => this.client.request(put(`later ${i}`))))
      const wrong = later.find(answer => answer.status !== 412)
      if (wrong !== undefined)
        throw refused(
          `a second write with If-None-Match: * to the same object was answered ${wrong.status}, not 412`,
          conditionalRemedy
        )
      const read = await this.client.request({ method: 'GET', name })
      if (new TextDecoder().decode(read.body) !== 'first' || read.header(tokenHeader) !== 'first')
        throw refused('an object is not read as it was written, or without its metadata', conditionalRemedy)
      await this.raceOnce(job, refused)
      const listed = await listFolder(this.client, `${job}/probe/`)
      if (!listed.names.some(each => name.endsWith(`/${each}`))) throw refused('an object that is there is not listed')
    } finally {
      await this.storage(`${job}/probe`).remove(name.slice(`${job}/probe/`.length))
    }
  }

  /** A server that looks first and writes then may answer all who come at once that they made it. */
  private async raceOnce(job: string, refused: (what: string, remedy: string) => CodedError): Promise<void> {
    const storage = this.storage(`${job}/probe`)
    const name = randomUUID()
    try {
      const told = await Promise.all(
        Array.from({ length: probers }, (_, i) => storage.create(name, new TextEncoder().encode(`by ${i}`)))
      )
      const made = told.filter(each => each === 'created').length
      if (made !== 1)
        throw refused(
          `of ${probers} who created one object at once, ${made} were told that they did`,
          conditionalRemedy
        )
    } finally {
      await storage.remove(name)
    }
  }
}

const conditionalRemedy =
  'Use a server that knows conditional writes (docs/storage.md names some), or a directory that all workers share.'
