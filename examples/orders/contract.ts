/** What the services tell each other, and the page. */
import { contract } from 'tideway';
import * as v from 'valibot';

const order = v.string();

export const shop = contract({
  'order:{customer}': {
    record: v.object({ order, item: v.string(), state: v.picklist(['placed', 'reserved', 'sold out']) }),
  },
  'notice:{customer}': { record: v.object({ order, text: v.string() }) },
  'dead:{group}': { record: v.looseObject({ channel: v.string(), error: v.string() }) },
});
export type Shop = typeof shop;
