# Stock: answers every order that was placed with "reserved" or "sold out". Knows Redis and docs/logs/redis.md, and
# nothing else of Tideway. It keeps nothing: what it has reserved stands in the log, and is read again at each start.
#
#   stock.py REDIS_URL LOG
import json, sys, time, zlib

try:
    import redis
except ModuleNotFoundError:
    sys.exit("this example needs Python with redis (Debian: python3-redis)")

url, log = sys.argv[1:3]
store = redis.Redis.from_url(url, decode_responses=True)

while (constants := store.get(f"{{{log}}}:constants")) is None:
    time.sleep(0.1)
partitions = json.loads(constants)["partitions"]
streams = [f"{{{log}:{partition}}}:records" for partition in range(partitions)]

PAGE = 1_000
left = {"tea": 5, "cake": 3, "unicorn": 0}
placed, answered = {}, set()


def note(fields):
    """What a record says. The log may hold one twice; the second one says nothing new."""
    channel = fields.get("channel", "")
    if not channel.startswith("order:") or fields.get("tideway-kind") is not None:
        return
    data = json.loads(fields["value"])
    order, item = data["order"], data["item"]
    if order in answered:
        return
    if data["state"] == "placed":
        placed[order] = (channel, item)
        return
    answered.add(order)
    placed.pop(order, None)
    if data["state"] == "reserved":
        left[item] -= 1


def answer(order, channel, item):
    state = "reserved" if left.get(item, 0) > 0 else "sold out"
    stream = streams[zlib.crc32(channel.encode()) % partitions]
    value = json.dumps({"order": order, "item": item, "state": state})
    # With this id a second answer would be hidden, should this program be started again in between, or twice.
    store.xadd(stream, {"channel": channel, "value": value, "tideway-rid": f"stock-{order}"}, id="0-*")
    if state == "reserved":
        left[item] -= 1
    answered.add(order)
    print(f"{order}: {item} {state}", flush=True)


places = {stream: "0" for stream in streams}
while True:
    pages = store.xread(places, count=PAGE, block=1_000)
    for stream, entries in pages:
        for place, fields in entries:
            places[stream] = place
            note(fields)
    if any(len(entries) == PAGE for _, entries in pages):
        continue
    # All that was there is known: what is placed now has no answer yet.
    for order, (channel, item) in placed.items():
        answer(order, channel, item)
    placed.clear()
