import type { Layout, ListedObject } from './layout.ts'
import { mariadbOperator } from './mariadb-operator.ts'
import { myhoard } from './myhoard.ts'
import { plain } from './plain.ts'
import { walG } from './wal-g.ts'
import { xbcloud } from './xbcloud.ts'

/** In the order in which a place is tried: what has the most telling names comes first. */
const LAYOUTS: readonly Layout[] = [xbcloud, walG, myhoard, mariadbOperator, plain]
export const LAYOUT_NAMES = LAYOUTS.map(({ name }) => name)

export const layoutNamed = (name: string): Layout | null => LAYOUTS.find(layout => layout.name === name) ?? null

/** Null where the place holds nothing that a layout knows. */
export const recognisedLayout = (objects: readonly ListedObject[]): Layout | null =>
  LAYOUTS.find(layout => layout.recognises(objects)) ?? null
