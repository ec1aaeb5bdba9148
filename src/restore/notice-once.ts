import type { RestoreContext } from './context.ts'

/** A notice for the person, unless this restore has given it before: steps can be done again. */
export function tellOnce({ store, now }: RestoreContext, text: string): void {
  if (!store.state.notices.includes(text)) store.dispatch({ type: 'notice', atMs: now(), text })
}
