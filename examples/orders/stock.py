# Stock: answers every order that was placed with "reserved" or "sold out". Knows Redis and docs/logs/redis.md, and
# nothing else of Tideway. It keeps nothing: what it has reserved stands in the log, and is read again at each start.
#
#   stock.py REDIS_URL LOG
import json, sys, time, zlib

try:
    import redis
except ModuleNotFoundError:
    sys.exit(
        f"{sys.executable} has no package redis: run pip install redis, "
        "or install Debian's python3-redis and set PYTHON=/usr/bin/python3"
    )

url, log = sys.argv[1:3]
store = redis.Redis.from_url(url, decode_responses=True)


def patiently(ask):
    """What Redis answers; while it is away, this waits."""
    is_away = False
    while True:
        try:
            return ask()
        except redis.ConnectionError as error:
            if not is_away:
                print(f"waits for Redis: {error}", flush=True)
            is_away = True
            time.sleep(0.5)


while (constants := patiently(lambda: store.get(f"{{{log}}}:constants"))) is None:
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
    # With this id a second answer is hidden: where it is asked for again, or this program is started again, or twice.
    fields = {"channel": channel, "value": value, "tideway-rid": f"stock-{order}"}
    patiently(lambda: store.xadd(stream, fields, id="0-*"))
    if state == "reserved":
        left[item] -= 1
    answered.add(order)
    print(f"{order}: {item} {state}", flush=True)


places = {stream: "0" for stream in streams}
while True:
    pages = patiently(lambda: store.xread(places, count=PAGE, block=1_000))
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
