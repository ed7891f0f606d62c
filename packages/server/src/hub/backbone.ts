/** What a hub stands on: a log with its view in this process, or those of another one. */
import type { Log } from '../log/log.ts';
import type { LogView, View } from '../view/view.ts';
import type { OnAnswered, RecordAppender } from './record-appender.ts';

/** A log with the view in front of it. */
export interface Backbone {
  readonly log: Log;
  readonly view: LogView;
  /** The log's partition that holds a channel. */
  readonly partitionOf: (channel: string) => number;
}

/** A log and a view that another process has. */
export interface RemoteBackbone {
  readonly view: View;
  readonly partitionOf: (channel: string) => number;
  createAppender(onAppended: OnAnswered): RecordAppender;
}
