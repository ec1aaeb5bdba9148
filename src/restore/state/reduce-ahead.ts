import type { RestoreState, SourceBytes } from './state.ts'

/** The part of the reducer that keeps how far the element fetched ahead is, while another is in front. */
export const beginAhead = (state: RestoreState, position: number): RestoreState => ({
  ...state,
  ahead: {
    position,
    readBytes: null,
    totalBytes: state.plan?.elements[position - 1]?.description.storedBytes ?? null,
  },
})

export const updateAhead = (state: RestoreState, position: number, bytes: Partial<SourceBytes>): RestoreState =>
  state.ahead?.position === position ? { ...state, ahead: { ...state.ahead, ...bytes } } : state
