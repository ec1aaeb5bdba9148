/** The notices of `after` that `before` does not have. Both are the newest of one growing list, cut at its start. */
export function newNotices(before: readonly string[], after: readonly string[]): readonly string[] {
  for (let dropped = 0; dropped <= before.length; dropped++) {
    const kept = before.slice(dropped)
    if (kept.length <= after.length && kept.every((notice, index) => notice === after[index]))
      return after.slice(kept.length)
  }
  return after
}
