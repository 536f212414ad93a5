/**
 * The file layer under checkpoint storage. The real one is `node:fs`; the test double forgets whatever was not synced.
 * Paths are absolute. Errors are Node's own (`ENOSPC`, `EROFS`, …) and carry `code` and `path`.
 */
export interface Files {
  /** Creates or truncates, writes everything, fsyncs the file, closes it. Does not sync the folder. */
  writeSynced(path: string, bytes: Uint8Array): Promise<void>
  /** Whole file. */
  read(path: string): Promise<Uint8Array>
  /** Exactly `length` bytes from `offset`, fewer only at the end of the file. */
  readRange(path: string, offset: number, length: number): Promise<Uint8Array>
  /** Hard link; fails with EEXIST when `to` exists. */
  link(from: string, to: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** No error when it is not there. */
  remove(path: string): Promise<void>
  /** Makes names created in, removed from or renamed within the folder durable. */
  syncFolder(path: string): Promise<void>
  /** Recursive. The folder and its parents are durable then, also those that somebody else made and did not live to sync. */
  makeFolder(path: string): Promise<void>
  /** Names (not paths) in a folder, sorted; [] when the folder is not there. */
  list(path: string): Promise<readonly string[]>
  /** Size in bytes, undefined when not there. */
  size(path: string): Promise<number | undefined>
}
