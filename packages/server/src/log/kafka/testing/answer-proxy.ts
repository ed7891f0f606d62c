/** A proxy before a broker that loses answers or says others: the broker has got a request, and who sent it never learns. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

const PRODUCE = 0;
const API_KEY_AT = 4;

export class AnswerProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Batches of records are answered with this error of Kafka, whatever became of them. */
  answersProduceWith: number | undefined;
  #losesNext = false;
  #lost = 0;
  #target = 0;

  constructor() {
    this.#server = createServer((client) => this.#pipe(client));
  }

  /** Starts it before a port; returns its own. */
  readonly start = async (target: number): Promise<number> => {
    this.#target = target;
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  };

  /** How many answers were lost. */
  get lost(): number {
    return this.#lost;
  }

  /** The answer to the next batch of records does not arrive, and its connection ends. */
  loseNextAnswer(): void {
    this.#losesNext = true;
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #pipe(client: Socket): void {
    const broker = connect(this.#target, '127.0.0.1');
    let isDoomed = false;
    let isProducing = false;
    for (const [from, to] of [
      [client, broker],
      [broker, client],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
    client.on('data', (chunk: Buffer) => {
      if (chunk.length > API_KEY_AT + 1 && chunk.readInt16BE(API_KEY_AT) === PRODUCE) {
        isProducing = true;
        isDoomed ||= this.#losesNext;
        this.#losesNext = false;
      }
      broker.write(chunk);
    });
    broker.on('data', (chunk: Buffer) => {
      if (isProducing && this.answersProduceWith !== undefined)
        chunk.writeInt16BE(this.answersProduceWith, errorAt(chunk));
      if (!isDoomed) return void client.write(chunk);
      this.#lost++;
      client.destroy();
    });
  }
}

/**
 * Where the error stands in an answer to Produce (version 9) for one partition: behind length, correlation id and tags,
 * a list of topics, the topic's name, a list of partitions and the partition's number.
 */
function errorAt(answer: Buffer): number {
  const nameAt = 4 + 4 + 1 + 1;
  const nameBytes = (answer[nameAt] as number) - 1;
  return nameAt + 1 + nameBytes + 1 + 4;
}
