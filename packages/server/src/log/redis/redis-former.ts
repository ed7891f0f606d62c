/**
 * Connections of the past that may still have appends under way: killed on their server before anything is done there on
 * a new one. What was sent on them and did not arrive yet never will.
 */
import type { RedisConnection } from './redis-connection.ts';

/** The newest are those that matter. */
const REMEMBERED_MAX = 64;

export class FormerConnections {
  /** Those that are in use, too: they will be former ones. */
  #all: readonly { readonly runId: string; readonly connection: RedisConnection }[] = [];

  /**
   * Ends those that were lost here and may live on the same server. A user who may not do that relies on the reset socket.
   *
   * @param runId the server's name for its own life: a connection's number counts only there
   */
  async replace(connection: RedisConnection, runId: string): Promise<void> {
    const isFormer = (one: { readonly runId: string; readonly connection: RedisConnection }): boolean => {
      return one.runId === runId && one.connection.isLost;
    };
    const former = this.#all.filter(isFormer);
    const others = this.#all.filter((one) => !isFormer(one));
    this.#all = [...others, { runId, connection }].slice(-REMEMBERED_MAX);
    for (const { id } of former.map((one) => one.connection)) {
      await connection.command('CLIENT', 'KILL', 'ID', id).catch(() => {});
    }
  }
}
