/** The channels of a torture run, and what their namespaces keep. */

export const LONG = ['long:a', 'long:b'] as const;
/** Its retention is small, and judged. */
export const SHORT = 'short:a';
export const SHORT_RECORDS = 300;
/** Trimmed on purpose. */
export const TRIMMED = 'short:trimmed';
export const CHANNELS = [...LONG, SHORT, TRIMMED] as const;

const everything = { subscribe: 'anyone', append: 'anyone', signal: 'anyone', history: 'anyone' };
export const NAMESPACES = {
  long: { ...everything, retention: { records: 50_000 } },
  short: { ...everything, retention: { records: SHORT_RECORDS } },
};
