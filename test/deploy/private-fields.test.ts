import t from 'tap'
import { Actor, files, generator, job, json } from '../../actors/index.ts'
import { refusePrivateFields } from '../../deploy/private-fields.ts'

class Base extends Actor {
  #base = 1
  receive(): void {
    this.#base++
  }
}
class Derived extends Base {
  #total = new Map()
  #later = undefined
  count = 0

  #method(): unknown {
    return [this.#total, this.#later]
  }
}
class Plain extends Actor {
  static #made = 0
  private kept = 1
  receive(): void {
    Plain.#made += this.#kept
  }
  get #kept(): number {
    return this.kept
  }
}

const planOf = (actor: new () => Base | Plain): Parameters<typeof refusePrivateFields>[0] =>
  job('private', j => ({
    out: j
      .source(
        'numbers',
        generator({ count: 1 }, n => n)
      )
      .keyBy(String)
      .actor(actor)
      .to('out', files('out', json()))
  })).plan

void t.test('private fields are refused by name, those of base classes too', t => {
  for (const name of ['#base', '#total', '#later'])
    t.throws(() => refusePrivateFields(planOf(Derived)), {
      code: 'ACTOR_INVALID',
      message: new RegExp(`stage "Derived": Derived\\.${name} is a private field`)
    })
  t.end()
})

void t.test('private methods, accessors, static fields and TypeScript private pass', t => {
  t.doesNotThrow(() => refusePrivateFields(planOf(Plain)))
  t.end()
})
