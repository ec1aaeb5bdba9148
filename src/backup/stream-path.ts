/**
 * Why a path in a stream must not be written; null for a good one. A backup is hostile: an extractor that follows such
 * a path writes outside its directory (MDEV-39408), and control characters deceive whoever reads a listing or a log.
 */
export function unsafePath(path: string): string | null {
  if (path === '') return 'an empty path'
  if (/[\u0000-\u001f\u007f]/.test(path)) return 'a path with control characters'
  if (path.startsWith('/')) return 'an absolute path'
  return path.split('/').includes('..') ? 'a path with ..' : null
}
