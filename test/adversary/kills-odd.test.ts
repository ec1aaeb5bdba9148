import { randomKills } from './kills.ts'

randomKills(1)
