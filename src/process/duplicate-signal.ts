/** A terminal and a launcher (npm, a shell) both send Ctrl-C: two equal signals within this time (ms) count as one. */
export const DUPLICATE_SIGNAL_MS = 500
