/**
 * Every tool speaks English, whatever the user's language: its words tell a full disk from a broken backup. Only the words
 * change: tools take file names and data as bytes.
 */
export const TOOL_LOCALE = { LC_ALL: 'C', LANGUAGE: '' } as const
