/** An object of a class as plain data, and back: how the machines under exploration are kept and cloned. */
type Plain = Record<string, unknown>

/** Fields that are ports or limits of the machine are left out; `thaw` is given them again. */
export function freeze(machine: object, without: readonly string[] = []): Plain {
  return Object.fromEntries(
    Object.entries(machine)
      .filter(([name]) => !without.includes(name))
      .map(([name, value]) => [name, flatten(value)])
  )
}

export function thaw<T extends object>(type: { readonly prototype: T }, data: Plain, ports: Plain = {}): T {
  const fields = Object.fromEntries(Object.entries(data).map(([name, value]) => [name, unflatten(value)]))
  return Object.assign(Object.create(type.prototype) as T, fields, ports)
}

function flatten(value: unknown): unknown {
  if (value === -Infinity) return { $: '-Infinity' }
  if (value === undefined) return { $: 'undefined' }
  if (value instanceof Set) return { $: 'Set', values: [...value] }
  if (Array.isArray(value)) return value.map(flatten)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, flatten(each)]))
  return value
}

function unflatten(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unflatten)
  if (typeof value !== 'object' || value === null) return value
  const { $: kind, values } = value as { readonly $?: string; readonly values?: readonly unknown[] }
  if (kind === '-Infinity') return -Infinity
  if (kind === 'undefined') return undefined
  if (kind === 'Set') return new Set(values)
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, unflatten(each)]))
}
