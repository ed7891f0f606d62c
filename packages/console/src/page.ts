/** What every page needs: its elements by id, where the server is, and how the server is doing. */
import { inWords, type BrokerStatus, type DemoStatus } from './status.ts';
import './style.css';

/** The element with this id; a page without it is a mistake of ours. */
// eslint-disable-next-line typescript/no-unnecessary-type-parameters -- says which kind of element the page has there
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.querySelector<T>(`#${id}`);
  if (found === null) throw new Error(`this page has no element #${id}`);
  return found;
}

/** Writes a text where it differs, so that nothing is read out or drawn twice. */
export function write(where: string | HTMLElement, text: string): void {
  const target = typeof where === 'string' ? element(where) : where;
  if (target.textContent !== text) target.textContent = text;
}

/** Shows a connection's state in the page's chip. */
export function showState(state: string): void {
  write('state', state);
  element('state').dataset['state'] = state;
}

export interface DemoConfig {
  readonly server: string;
  /** Shows the supervisor that it is its own page that asks. */
  readonly secret: string;
  readonly version: string;
  /** What a person writes before a command of the command line. */
  readonly commandLine: string;
  /** How many there are. */
  readonly nodes: number;
  readonly broker?: BrokerStatus;
}

export async function demoConfig(): Promise<DemoConfig> {
  const response = await fetch('/demo/config');
  return (await response.json()) as DemoConfig;
}

/** Asks the supervisor to break or mend something; rejects in its words when it cannot. */
export async function command({ secret }: DemoConfig, path: string, body = ''): Promise<void> {
  const response = await fetch(`/demo/${path}`, { method: 'POST', headers: { 'X-Demo-Secret': secret }, body });
  if (!response.ok) throw new Error(await response.text());
}

/** Follows the lives of the nodes as their supervisor sees them, and shows them in the header. */
export function watchServer(onStatus: (status: DemoStatus) => void = () => {}): void {
  const lamp = element('lamp');
  let sinceMs: number | undefined;
  const events = new EventSource('/demo/status');
  events.addEventListener('message', (event: MessageEvent<string>) => {
    const status = JSON.parse(event.data) as DemoStatus;
    const { lamp: state, text } = inWords(status);
    lamp.dataset['state'] = state;
    write('server-state', text);
    const [only, ...others] = status.nodes;
    const upMs = others.length > 0 || only?.state === 'paused' ? undefined : only?.upMs;
    sinceMs = upMs === undefined ? undefined : performance.now() - upMs;
    showUp();
    onStatus(status);
  });
  events.addEventListener('error', () => {
    lamp.dataset['state'] = 'gone';
    sinceMs = undefined;
    showUp();
    write('server-state', 'the demo has ended; start it again');
  });
  const showUp = (): void => {
    const seconds = sinceMs === undefined ? 0 : Math.round((performance.now() - sinceMs) / 1_000);
    const text = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    write('server-up', sinceMs === undefined ? '' : text);
  };
  window.setInterval(showUp, 1_000);
}

/** Puts faults into the way of a client's connections, on whichever node they are. */
export function putFault(config: DemoConfig, instance: string, fault: object): void {
  command(config, `faults?instance=${encodeURIComponent(instance)}`, JSON.stringify(fault)).catch(() => {});
}

/** A short random name. */
export function randomName(): string {
  return crypto.getRandomValues(new Uint32Array(2)).reduce((text, word) => text + word.toString(36), '');
}
