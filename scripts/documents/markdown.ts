/** What the tests of the documents read in a Markdown page: its code, its links, its headings, its tables. */

export interface CodeBlock {
  readonly language: string;
  readonly code: string;
  /** The file that a first line such as `// server.ts: what it is` or `# nginx.conf` names. */
  readonly name: string | undefined;
  /** Lines that are not empty. */
  readonly lines: number;
}

const fence = /^```(\w*)\n([^]*?)^```$/gm;

export function codeBlocks(page: string): CodeBlock[] {
  return [...page.matchAll(fence)].map(([, language = '', code = '']) => ({
    language,
    code,
    name: /^(?:\/\/|#) ([\w.-]+\.\w+)(?::.*)?\n/.exec(code)?.[1],
    lines: code.split('\n').filter((line) => line.trim() !== '').length,
  }));
}

/** The block that names this file. Throws where the page has none. */
export function blockNamed(page: string, name: string): string {
  const block = codeBlocks(page).find((one) => one.name === name);
  if (block === undefined) throw new Error(`the page has no block of code that begins with the name ${name}`);
  return block.code;
}

/** Targets of links and images, outside of code. */
export function linkTargets(page: string): string[] {
  const prose = page
    .replaceAll(fence, '')
    .replaceAll(/^ {4}.*$/gm, '')
    .replaceAll(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
}

/** The anchors of a page's headings, as GitHub makes them. */
export function anchors(page: string): Set<string> {
  const found = new Set<string>();
  for (const [, heading = ''] of page.replaceAll(fence, '').matchAll(/^#{1,6} (.*)$/gm)) {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = plain.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(/\s/g, '-');
    let unique = anchor;
    for (let n = 1; found.has(unique); n++) unique = `${anchor}-${n}`;
    found.add(unique);
  }
  return found;
}

/** The rows of the table under a heading, without its head: the text of each cell. */
export function tableUnder(page: string, heading: string): string[][] {
  const at = `\n${page}`.indexOf(`\n${heading}\n`);
  if (at < 0) throw new Error(`the page has no heading "${heading}"`);
  const lines = page.slice(at + heading.length + 1).split('\n');
  const first = lines.findIndex((line) => line.startsWith('|'));
  const end = lines.findIndex((line, n) => n > first && !line.startsWith('|'));
  return lines.slice(first + 2, end < 0 ? undefined : end).map(cells);
}

function cells(row: string): string[] {
  return row
    .replace(/^\||\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}
