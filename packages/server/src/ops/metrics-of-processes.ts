/** The metrics of several processes as one page: each line is told apart by the label `process`. */

export interface ProcessMetrics {
  readonly process: string;
  /** As `/metrics` of one process alone shows it. */
  readonly text: string;
}

/** What one family says: its head once, and the lines of all processes. */
interface Family {
  readonly head: string[];
  readonly lines: string[];
}

/** One page of all: a family stands once, with the lines of each process in turn. */
export function joinMetrics(parts: readonly ProcessMetrics[]): string {
  const families = new Map<string, Family>();
  for (const { process, text } of parts) {
    let family: Family | undefined;
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const head = /^# (?:HELP|TYPE) (\S+) /.exec(line);
      if (head === null) {
        family?.lines.push(withProcess(line, process));
        continue;
      }
      const name = head[1] as string;
      const known = families.get(name);
      family = known ?? { head: [], lines: [] };
      families.set(name, family);
      if (!family.head.includes(line)) family.head.push(line);
    }
  }
  return [...families.values()].map(({ head, lines }) => `${[...head, ...lines].join('\n')}\n`).join('');
}

/** `name{a="b"} 1` and `name 1` with one label more. */
function withProcess(line: string, process: string): string {
  const name = /^[a-zA-Z_:][\w:]*/.exec(line)?.[0] ?? '';
  const rest = line.slice(name.length);
  const label = `process="${process}"`;
  return rest.startsWith('{') ? `${name}{${label},${rest.slice(1)}` : `${name}{${label}}${rest}`;
}
