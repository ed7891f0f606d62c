/**
 * What is known of topics and who leads their partitions, from the answers of brokers, of which any may be a moment old:
 * an older leader never replaces a newer one, and a topic is gone, or another of the same name, only where nobody asked
 * in a round knows it any more.
 */

export interface KafkaTopic {
  readonly id: string;
  readonly replication: number;
  readonly partitions: readonly KafkaPartition[];
}

export interface KafkaPartition {
  /** A broker's id; -1 while there is none. */
  readonly leader: number;
  /** Counts the leaders of the partition. */
  readonly epoch: number;
}

/** What one broker said, by name. */
export type TopicAnswer = ReadonlyMap<string, KafkaTopic>;

export interface TopicRound {
  take(answer: TopicAnswer): void;
  /** Everybody has answered or failed. */
  end(): void;
}

export class TopicMap {
  readonly #topics = new Map<string, KafkaTopic>();

  get(name: string): KafkaTopic | undefined {
    return this.#topics.get(name);
  }

  /** Brokers are asked from now on. */
  round(): TopicRound {
    const before = [...this.#topics].map(([name, { id }]) => ({ name, id }));
    const answers: TopicAnswer[] = [];
    return {
      take: (answer) => {
        answers.push(answer);
        for (const [name, topic] of answer) {
          const known = this.#topics.get(name);
          if (known === undefined || known.id === topic.id) this.#topics.set(name, newest(known, topic));
        }
      },
      end: () => {
        if (answers.length > 0) for (const { name, id } of before) this.#judge(name, id, answers);
      },
    };
  }

  #judge(name: string, id: string, answers: readonly TopicAnswer[]): void {
    if (this.#topics.get(name)?.id !== id || answers.some((answer) => answer.get(name)?.id === id)) return;
    const other = answers.find((answer) => answer.has(name))?.get(name);
    if (other === undefined) this.#topics.delete(name);
    else this.#topics.set(name, other);
  }
}

function newest(known: KafkaTopic | undefined, topic: KafkaTopic): KafkaTopic {
  const partitions = topic.partitions.map((partition, n) => {
    const old = known?.partitions[n];
    return old !== undefined && old.epoch > partition.epoch ? old : partition;
  });
  return { ...topic, partitions };
}
