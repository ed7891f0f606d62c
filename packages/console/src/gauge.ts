/** The tide gauge: what waits and who is behind, over the last minute; dark where there was no server. */
import { element } from './page.ts';

const WINDOW_MS = 60_000;
const LINES = [[], [6, 4], [2, 3]] as const;

interface Sample {
  readonly atMs: number;
  readonly waiting: number;
  readonly behind: readonly number[];
  readonly isUp: boolean;
}

export class Gauge {
  readonly #canvas = element<HTMLCanvasElement>('gauge');
  readonly #samples: Sample[] = [];

  add(sample: Sample): void {
    this.#samples.push(sample);
    while ((this.#samples[0] as Sample).atMs < sample.atMs - WINDOW_MS) this.#samples.shift();
    this.#draw(sample);
  }

  #draw(last: Sample): void {
    const canvas = this.#canvas;
    const scale = window.devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const pen = canvas.getContext('2d');
    if (pen === null) return;
    const style = getComputedStyle(canvas);
    const colour = (name: string): string => style.getPropertyValue(`--${name}`);
    const highest = this.#samples.reduce((high, one) => Math.max(high, one.waiting, ...one.behind), 0);
    const top = Math.max(20, highest * 1.15);
    const base = height - 2;
    const x = (atMs: number): number => width - ((last.atMs - atMs) / WINDOW_MS) * width;
    const y = (value: number): number => base - (value / top) * (base - 16);

    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    this.#drawDeaths(pen, x, colour('away'), height);

    pen.fillStyle = colour('line');
    pen.fillRect(0, base, width, 1);
    pen.fillRect(0, y(highest), highest > 0 ? width : 0, 1);
    pen.fillStyle = colour('soft');
    pen.font = '12px ui-sans-serif, system-ui, sans-serif';
    if (highest > 0) pen.fillText(String(highest), 2, y(highest) - 4);

    pen.fillStyle = colour('waiting');
    pen.beginPath();
    pen.moveTo(x(this.#samples[0]?.atMs ?? last.atMs), base);
    for (const one of this.#samples) pen.lineTo(x(one.atMs), y(one.waiting));
    pen.lineTo(x(last.atMs), base);
    pen.fill();

    LINES.forEach((dash, line) => {
      pen.strokeStyle = colour(`behind-${line}`);
      pen.lineWidth = 2;
      pen.setLineDash(dash);
      pen.beginPath();
      for (const one of this.#samples) pen.lineTo(x(one.atMs), y(one.behind[line] ?? 0));
      pen.stroke();
    });
    pen.setLineDash([]);
  }

  #drawDeaths(pen: CanvasRenderingContext2D, x: (atMs: number) => number, colour: string, height: number): void {
    pen.fillStyle = colour;
    pen.globalAlpha = 0.3;
    this.#samples.forEach((one, index) => {
      if (one.isUp) return;
      const next = this.#samples[index + 1]?.atMs ?? one.atMs;
      pen.fillRect(x(one.atMs), 0, x(next) - x(one.atMs), height);
    });
    pen.globalAlpha = 1;
  }
}
