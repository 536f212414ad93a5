/** The only place that forms names of stored objects. All lie below one lineage. */
const padded = (n: number): string => String(n).padStart(12, '0')

export const objectNames = {
  decisions: 'decisions',
  decision: (sequence: number): string => `decisions/${padded(sequence)}`,
  manifest: (epoch: number, nonce: string): string => `manifests/${padded(epoch)}-${nonce}`,
  delta: (epoch: number, stage: string, task: number, nonce: string): string =>
    `deltas/${padded(epoch)}-${stage}-${task}-${nonce}`,
  outbox: (epoch: number, stage: string, task: number, nonce: string): string =>
    `outbox/${padded(epoch)}-${stage}-${task}-${nonce}`,
  base: (epoch: number, stage: string, nonce: string): string => `bases/${padded(epoch)}-${stage}-${nonce}`,
  /** Folders of what manifests name. */
  fileFolders: ['deltas', 'bases', 'outbox'],
  manifests: 'manifests',
  /** Epoch of an object of these folders; undefined for a stray. */
  epochOf: (name: string): number | undefined => {
    const match = /^[a-z]+\/(\d{12})-/.exec(name)
    return match === null ? undefined : Number(match[1])
  },
  /** Of a decision's last name part; undefined for a stray. */
  sequenceOf: (name: string): number | undefined => (/^\d{12}$/.test(name) ? Number(name) : undefined)
} as const
