/** What `doctor` finds: one line a fact, with what to do about it where it is not good. */
import { type Colour, type Io, paint, print, printJson } from './io.ts';

export interface Finding {
  /** Names the check in JSON: `open-files`. */
  readonly check: string;
  /** `note`: not checked, or neither good nor bad. */
  readonly state: 'good' | 'note' | 'warning' | 'bad';
  readonly text: string;
  readonly advice?: string;
}

export const good = (check: string, text: string): Finding => ({ check, state: 'good', text });
export const note = (check: string, text: string): Finding => ({ check, state: 'note', text });
export const warning = (check: string, text: string, advice: string): Finding => ({
  ...{ check, state: 'warning', text, advice },
});
export const bad = (check: string, text: string, advice: string): Finding => ({ check, state: 'bad', text, advice });

const MARKS: Readonly<Record<Finding['state'], readonly [mark: string, colour: Colour]>> = {
  good: ['✓', 'green'],
  note: ['·', 'gray'],
  warning: ['!', 'yellow'],
  bad: ['✗', 'red'],
};

export async function printFinding(io: Io, finding: Finding, isJson: boolean): Promise<void> {
  if (isJson) return printJson(io, finding);
  const [mark, colour] = MARKS[finding.state];
  const advice = finding.advice === undefined ? '' : `: ${finding.advice}`;
  await print(io, `${paint(io, 'stdout', colour, mark)} ${finding.text}${advice}`);
}
