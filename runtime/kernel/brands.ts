/** Numbers that must not be mixed up. A brand costs nothing at run time. */
declare const brand: unique symbol
export type Branded<Name extends string> = number & { readonly [brand]: Name }

/** The span between two barriers; checkpoint *n* is the state at barrier *n*. Never repeats within a lineage. */
export type Epoch = Branded<'Epoch'>
/** One incarnation of the running job; fences everything older. */
export type Generation = Branded<'Generation'>
/** An unbroken line of epochs. */
export type Lineage = Branded<'Lineage'>
/** `(murmur2(key bytes) & 0x7fffffff) mod keyGroups`. */
export type KeyGroup = Branded<'KeyGroup'>

export const epoch = (n: number): Epoch => n as Epoch
export const generation = (n: number): Generation => n as Generation
export const lineage = (n: number): Lineage => n as Lineage
export const keyGroup = (n: number): KeyGroup => n as KeyGroup
