/** What every page needs: its elements by id, where the server is, and how the server is doing. */
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
}

export interface ServerStatus {
  readonly state: 'starting' | 'up' | 'down' | 'stopped';
  readonly pid?: number;
  readonly restarts: number;
  /** How long the last death lasted. */
  readonly backMs?: number;
  /** How long it has been up. */
  readonly upMs?: number;
}

export async function demoConfig(): Promise<DemoConfig> {
  const response = await fetch('/demo/config');
  return (await response.json()) as DemoConfig;
}

/** Follows the server's life as its supervisor sees it, and shows it in the header. */
export function watchServer(onStatus: (status: ServerStatus) => void = () => {}): void {
  const lamp = element('lamp');
  let sinceMs: number | undefined;
  const events = new EventSource('/demo/status');
  events.addEventListener('message', (event: MessageEvent<string>) => {
    const status = JSON.parse(event.data) as ServerStatus;
    lamp.dataset['state'] = status.state;
    sinceMs = status.upMs === undefined ? undefined : performance.now() - status.upMs;
    write('server-state', status.state === 'up' ? `server up, pid ${status.pid}` : wordsOf(status.state));
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

function wordsOf(state: ServerStatus['state']): string {
  return state === 'down' ? 'server dead' : `server ${state}`;
}

/** Puts faults into the way of a client's connections; a server that is away needs none. */
export function putFault(server: string, instance: string, fault: object): void {
  const url = `${server}/v1/faults?instance=${encodeURIComponent(instance)}`;
  fetch(url, { method: 'POST', body: JSON.stringify(fault) }).catch(() => {});
}

/** A short random name. */
export function randomName(): string {
  return crypto.getRandomValues(new Uint32Array(2)).reduce((text, word) => text + word.toString(36), '');
}
