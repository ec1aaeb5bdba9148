/** A launcher (npm, a shell) passes on what the terminal has sent us already: within so many ms that is the same signal, not a second one. */
export const SAME_SIGNAL_MS = 500
