/** What numbers of errors mean for a job, whichever client says them. Negative ones are librdkafka's own, others the broker's. */

/** Unknown topic, partition or topic id. */
export const isGone = (code: number): boolean => [3, 100, -188, -190].includes(code)

/** The partition has no leader now, another than was thought, or one that is not ready yet; as after it was made. */
export const isMoving = (code: number): boolean => [5, 6, 9, 56, 74, 75, 78].includes(code)

/** Authentication, TLS, and rights on topics, groups, transactions and the cluster. */
export const isRefused = (code: number): boolean => [29, 30, 31, 33, 34, 53, 58, -169, -181].includes(code)

export const isTooLarge = (code: number): boolean => code === 10

export const queueFull = -184
