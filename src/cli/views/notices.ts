/** The notices in `after` that were not in `before`; both are the newest of one growing list, cut at its beginning. */
export function newNotices(before: readonly string[], after: readonly string[]): readonly string[] {
  if (before === after) return []
  for (let dropped = 0; dropped <= before.length; dropped++) {
    const kept = before.slice(dropped)
    if (kept.length <= after.length && kept.every((notice, index) => notice === after[index]))
      return after.slice(kept.length)
  }
  return after
}
