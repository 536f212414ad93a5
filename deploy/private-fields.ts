/** `#private` fields are invisible to every encoder, so an actor that has one would lose state: found by V8's own inspector. */
import { Session } from 'node:inspector'
import type { Plan } from '../actors/plan.ts'
import { CodedError } from '../runtime/kernel/errors.ts'

const place = Symbol.for('cairn.probe')

/** Throws one ACTOR_INVALID that names every private field of every actor. Private methods and accessors hold no state and pass. */
export function refusePrivateFields(plan: Plan): void {
  const session = new Session()
  session.connect()
  try {
    const problems: string[] = []
    for (const node of plan.nodes)
      if (node.kind === 'actor')
        for (const name of privateFields(session, new node.actor()))
          problems.push(
            `stage "${node.name}": ${node.actor.name}.${name} is a private field, which cannot be stored; make it public (TypeScript's \`private\` is fine)`
          )
    if (problems.length > 0) throw new CodedError('ACTOR_INVALID', problems.join('\n  '))
  } finally {
    session.disconnect()
  }
}

/** Its session answers before `post` returns. */
function privateFields(session: Session, instance: object): string[] {
  const holder = globalThis as { [place]?: object }
  let objectId: string | undefined
  let names: string[] = []
  holder[place] = instance
  session.post('Runtime.evaluate', { expression: "globalThis[Symbol.for('cairn.probe')]" }, (error, found) => {
    if (error === null) objectId = found.result.objectId
  })
  delete holder[place]
  if (objectId === undefined) return []
  session.post('Runtime.getProperties', { objectId, ownProperties: true }, (error, found) => {
    // Marked experimental, and so missing from the types.
    const { privateProperties } = found as { privateProperties?: { name: string; value?: unknown }[] }
    if (error === null)
      names = (privateProperties ?? []).filter(each => each.value !== undefined).map(each => each.name)
  })
  session.post('Runtime.releaseObject', { objectId })
  return names
}
