/**
 * Versions as the tools and servers of this field write them: `2.4.29`, `8.0.35-31`, `8.4.0-3`, `10.11.19-MariaDB`,
 * `5.7.44-48-log`, `11.8.6-MariaDB-0+deb13u1 from Debian-log`. Three numbers, then perhaps the vendor's build number.
 */
export interface Version {
  major: number
  minor: number
  patch: number
  /** Percona's number after the dash (`8.0.35-31` has 31); null where there is none. */
  build: number | null
}

/** The first version found in a text; null where there is none. */
export function parseVersion(text: string): Version | null {
  const found = /(?<![\d.])(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?:-(\d{1,4})(?![\d+.]))?/.exec(text)
  if (found === null) return null
  return {
    major: Number(found[1]),
    minor: Number(found[2]),
    patch: Number(found[3] ?? 0),
    build: found[4] === undefined ? null : Number(found[4]),
  }
}

/** Negative where `left` is older. A missing build number is the oldest build. */
export function compareVersions(left: Version, right: Version): number {
  return (
    left.major - right.major ||
    left.minor - right.minor ||
    left.patch - right.patch ||
    (left.build ?? -1) - (right.build ?? -1)
  )
}

/** True where `version` (as printed) is `minimum` or newer; false where it cannot be read. */
export function atLeast(version: string | null, minimum: string): boolean {
  const have = parseVersion(version ?? '')
  const need = parseVersion(minimum)
  return have !== null && need !== null && compareVersions(have, need) >= 0
}

/** `8.0` of `8.0.35-31`: releases of one series read each other's files. */
export const seriesOf = (version: Version): string => `${version.major}.${version.minor}`

export const formatVersion = ({ major, minor, patch, build }: Version): string =>
  `${major}.${minor}.${patch}${build === null ? '' : `-${build}`}`
