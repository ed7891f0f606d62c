/** What every page needs: its elements by id, where the server is, and how the server is doing. */
import './style.css';

/** The element with this id; a page without it is a mistake of ours. */
// eslint-disable-next-line typescript/no-unnecessary-type-parameters -- says which kind of element the page has there
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.querySelector<T>(`#${id}`);
  if (found === null) throw new Error(`this page has no element #${id}`);
  return found;
}

export interface DemoConfig {
  readonly server: string;
  readonly secret: string;
  readonly version: string;
}

export interface ServerStatus {
  readonly state: 'starting' | 'up' | 'down' | 'stopped';
  readonly pid?: number;
  readonly restarts: number;
  readonly backMs?: number;
}

export async function demoConfig(): Promise<DemoConfig> {
  const response = await fetch('/demo/config');
  return (await response.json()) as DemoConfig;
}

/** Follows the server's life as its supervisor sees it, and shows it in the header. */
export function watchServer(onStatus: (status: ServerStatus) => void = () => {}): void {
  const lamp = element('lamp');
  const words = element('server-state');
  const events = new EventSource('/demo/status');
  events.addEventListener('message', (event: MessageEvent<string>) => {
    const status = JSON.parse(event.data) as ServerStatus;
    lamp.dataset['state'] = status.state;
    words.textContent = status.state === 'up' ? `server up, pid ${status.pid}` : `server ${status.state}`;
    onStatus(status);
  });
  events.addEventListener('error', () => {
    lamp.dataset['state'] = 'down';
    words.textContent = 'the demo has ended; start it again with npm start';
  });
}

/** A short random name. */
export function randomName(): string {
  return crypto.getRandomValues(new Uint32Array(2)).reduce((text, word) => text + word.toString(36), '');
}
