/**
 * Whether a line that a node of the demo says is for the person at the terminal. The page shows what nodes do, its
 * greeting is for whoever starts it by hand, and that its broker is away is what the page's button is for.
 */
export function isTrouble(line: string): boolean {
  if (!line.startsWith('{')) return /error/i.test(line);
  return line.includes('"level":"error"') && !line.includes('"event":"log.down"');
}
