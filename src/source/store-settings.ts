/** What options say of stores: `RestoreOptions` has them all. */
export type StoreSettings = Readonly<Record<never, never>>
export const NO_SETTINGS: StoreSettings = {}
