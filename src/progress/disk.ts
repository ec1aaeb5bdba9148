/**
 * How fast is the disk? Told by steps that stream through it, delta apply and the scan of redo, when they waited for it:
 * most bytes came from or went to the device, not to memory, and the CPU was mostly idle. Pages, whose reading and writing
 * comes later, are then priced at that speed.
 */
export interface DiskMeter {
  seconds: number
  cpuSeconds: number
  /** Through the device, and in all. */
  deviceBytes: number
  movedBytes: number
}

export const initialDisk: DiskMeter = { seconds: 0, cpuSeconds: 0, deviceBytes: 0, movedBytes: 0 }

const LEAST_SECONDS = 1
const MOSTLY_DEVICE = 0.5
const MOSTLY_IDLE = 0.6

/** Bytes per second; null where nothing waited for the disk, or nothing tells. */
export function diskRate({ seconds, cpuSeconds, deviceBytes, movedBytes }: DiskMeter): number | null {
  if (seconds < LEAST_SECONDS || deviceBytes < MOSTLY_DEVICE * movedBytes) return null
  return cpuSeconds < MOSTLY_IDLE * seconds ? deviceBytes / seconds : null
}
