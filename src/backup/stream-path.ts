/**
 * Why a path in a stream must not be written; null for a safe one. The backup may be hostile: an extractor that follows
 * such a path writes outside its directory (MDEV-39408), and control characters falsify listings and logs.
 */
export function unsafePath(path: string): string | null {
  if (path === '') return 'an empty path'
  if (/[\u0000-\u001f\u007f]/.test(path)) return 'a path with control characters'
  if (path.startsWith('/')) return 'an absolute path'
  return path.split('/').includes('..') ? 'a path with ..' : null
}
