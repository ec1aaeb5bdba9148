/**
 * Every program runs in English, whatever the user's language: its messages tell a full disk from a damaged backup.
 * Only messages change: file names and data are bytes to a tool.
 */
export const TOOL_LOCALE = { LC_ALL: 'C', LANGUAGE: '' } as const
