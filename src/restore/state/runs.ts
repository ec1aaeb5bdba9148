/** Names the run that moves the prepared files into the datadir. */
export const MOVE_BACK = 'move-back'
