/**
 * Broken builds, each by one patch of one file: a numbered rule of the design taken out. The simulator has to find each
 * within its bound of seeds; what it finds is some broken promise, not the patch itself.
 */
import { deliveryMutants } from "./DeliveryMutants.ts"
import { logMutants } from "./LogMutants.ts"
import { stateMutants } from "./StateMutants.ts"

export interface Mutant {
  readonly name: string
  /** The rule, or the promise, that is broken. */
  readonly rule: string
  readonly file: string
  readonly find: string
  readonly put: string
  /** Seeds within which it is found. */
  readonly seedsMax: number
}

export const mutants: ReadonlyArray<Mutant> = [...logMutants, ...deliveryMutants, ...stateMutants]
