/**
 * Runs test files, each in its own process, and says what became of every test: nothing that fails, hangs, dies or
 * holds no test gets away as passed. Prints as node's spec reporter does.
 */
import { relative, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec, type TestEvent } from 'node:test/reporters';

export interface TestTotals {
  passed: number;
  /** Where and what, one line each. */
  failed: string[];
  /** Where, what and why, one line each. */
  skipped: string[];
}

export interface TestRun {
  /** The folder the files are relative to. */
  root: string;
  files: readonly string[];
  /** A file that has not ended by then is killed and counts as failed. */
  fileTimeoutMs: number;
  /** Files at once. */
  concurrency: number;
  write(text: string): void;
}

/**
 * Runs all files, and gives the totals of each. What they print is never mixed: the first unfinished file prints as it
 * goes, the others wait.
 */
export async function runTestFiles(options: TestRun): Promise<Map<string, TestTotals>> {
  const totals = new Map<string, TestTotals>();
  const held = options.files.map((): string[] => []);
  const ended = new Set<number>();
  let printing = 0;
  let next = 0;

  function print(index: number, text: string): void {
    if (index === printing) options.write(text);
    else held[index]?.push(text);
  }
  function end(index: number): void {
    ended.add(index);
    while (ended.has(printing)) {
      printing++;
      for (const text of held[printing] ?? []) options.write(text);
    }
  }
  async function work(): Promise<void> {
    for (let index = next++; index < options.files.length; index = next++) {
      const path = options.files[index]!;
      const file = new TestFile(options, path);
      totals.set(path, file.totals);
      await file.run((text) => print(index, text));
      end(index);
    }
  }
  await Promise.all(Array.from({ length: options.concurrency }, work));
  return totals;
}

/** Characters of an error in the closing list. */
const WORDS_MAX = 300;

type Ended = Extract<TestEvent, { type: 'test:pass' | 'test:fail' }>['data'];
type Failed = Extract<TestEvent, { type: 'test:fail' }>['data'];

/** One file on its way through its process. */
class TestFile {
  readonly totals: TestTotals = { passed: 0, failed: [], skipped: [] };
  readonly #options: TestRun;
  readonly #file: string;
  readonly #deadline: AbortSignal;
  /** Tests that began and have not ended, by id: whoever is left at the end was cut off. */
  readonly #open = new Map<number, string>();

  constructor(options: TestRun, file: string) {
    this.#options = options;
    this.#file = file;
    this.#deadline = AbortSignal.timeout(options.fileTimeoutMs);
  }

  async run(print: (text: string) => void): Promise<void> {
    print(`\n${this.#file}\n`);
    for await (const text of Readable.from(this.#events()).compose(new spec())) print(String(text));
    for (const name of this.#open.values()) {
      this.#fail(this.#deadline.aborted ? `${name} (still running)` : `${name} (its process ended before it did)`);
    }
  }

  /** The events of the run, counted; the closing figures are left out, since the whole run has its own. */
  async *#events(): AsyncGenerator<TestEvent> {
    const events = run({
      files: [resolve(this.#options.root, this.#file)],
      cwd: this.#options.root,
      signal: this.#deadline,
      execArgv: ['--conditions=tideway-source'],
    });
    for await (const event of events as AsyncIterable<TestEvent>) {
      if (event.type === 'test:dequeue' && !this.#isFileItself(event.data)) {
        this.#open.set(event.data.testId, event.data.name);
      } else if (event.type === 'test:pass') {
        this.#passed(event.data);
      } else if (event.type === 'test:fail') {
        this.#failed(event.data, failureType(event.data.details.error));
      }
      if (event.type !== 'test:diagnostic' || event.data.file !== undefined) yield event;
    }
  }

  #passed(test: Ended): void {
    if (this.#isFileItself(test)) return this.#fail('it holds no test');
    this.#open.delete(test.testId);
    if (isSkipped(test)) this.#skip(test);
    else if (test.details.type !== 'suite') this.totals.passed++;
  }

  #failed(test: Failed, failure: string | undefined): void {
    if (this.#isFileItself(test)) {
      const limit = `not done after ${this.#options.fileTimeoutMs / 1000} s`;
      return this.#fail(this.#deadline.aborted ? limit : 'its process failed');
    }
    this.#open.delete(test.testId);
    if (isSkipped(test)) this.#skip(test);
    else if (failure !== 'subtestsFailed') this.#fail(`${test.name}: ${firstWords(test.details.error)}`);
  }

  #fail(what: string): void {
    this.totals.failed.push(`${this.#file}: ${what}`);
  }

  #skip(test: Ended): void {
    const reason = typeof test.skip === 'string' && test.skip !== '' ? test.skip : todoReason(test);
    this.totals.skipped.push(`${this.#file}: ${test.name}: ${reason}`);
  }

  /** node reports a file as a test of its own when nothing inside it was reported, or when it died. */
  #isFileItself(test: { name: string; nesting: number }): boolean {
    return test.nesting === 0 && relative(this.#options.root, resolve(this.#options.root, test.name)) === this.#file;
  }
}

function isSkipped(test: Ended): boolean {
  return isSet(test.skip) || isSet(test.todo);
}

function isSet(mark: string | boolean | undefined): boolean {
  return mark !== undefined && mark !== false;
}

function todoReason(test: Ended): string {
  if (isSet(test.todo)) return typeof test.todo === 'string' && test.todo !== '' ? `to do: ${test.todo}` : 'to do';
  return 'no reason given';
}

/** What the assertion or the error says, on one line: the whole stands above, where the file ran. */
function firstWords(error: Error): string {
  const { message } = error.cause instanceof Error ? error.cause : error;
  return message.replaceAll(/\s+/g, ' ').slice(0, WORDS_MAX).trim();
}

function failureType(error: Error): string | undefined {
  return 'failureType' in error && typeof error.failureType === 'string' ? error.failureType : undefined;
}
