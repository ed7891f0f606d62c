# A client of NATS that is not ours, over the bare protocol: all it knows of Tideway is docs/logs/nats.md.
#
#   plain-client.py PORT LOG PARTITIONS append CHANNEL COUNT   stores records, prints their sequences
#   plain-client.py PORT LOG PARTITIONS read                   prints every record of every partition, as JSON lines
import json, socket, sys, urllib.parse, zlib

port, log, partitions, command = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
stream = socket.create_connection(("127.0.0.1", port)).makefile("rwb")


def send(subject, payload=b"", reply="", headers=None):
    head = b""
    if headers is not None:
        head = "".join(["NATS/1.0\r\n", *(f"{name}: {value}\r\n" for name, value in headers.items()), "\r\n"]).encode()
    verb = f"HPUB {subject} {reply} {len(head)} {len(head) + len(payload)}" if head else f"PUB {subject} {reply} {len(payload)}"
    stream.write(verb.encode() + b"\r\n" + head + payload + b"\r\n")
    stream.flush()


def receive():
    """The next message: its subject, its reply subject, its headers and its payload."""
    while True:
        verb, *words = stream.readline().decode().split()
        if verb == "PING":
            stream.write(b"PONG\r\n")
            stream.flush()
        if verb not in ("MSG", "HMSG"):
            continue
        total, head = int(words[-1]), int(words[-2]) if verb == "HMSG" else 0
        reply = words[2] if len(words) == (5 if verb == "HMSG" else 4) else ""
        body = stream.read(total + 2)[:-2]
        lines = body[:head].decode().split("\r\n")[1:]
        return words[0], reply, dict(line.split(": ", 1) for line in lines if ": " in line), body[head:]


def ask(subject, question):
    send(subject, json.dumps(question).encode(), "inbox.answer")
    return json.loads(receive()[3])


def token(channel):
    return "".join(f"%{ord(c):02X}" if c in "%.*> " else c for c in channel)


stream.readline()
stream.write(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB inbox.* 1\r\n')

if command == "append":
    channel, count = sys.argv[5], int(sys.argv[6])
    partition = zlib.crc32(channel.encode()) % partitions
    for n in range(count):
        headers = {"tideway-user": "zoë", "tideway-key": f"k{n}"} if n % 2 == 0 else None
        send(f"{log}.{partition}.{token(channel)}", json.dumps({"python": n}).encode(), "inbox.ack", headers)
        answer = json.loads(receive()[3])
        if "error" in answer:
            sys.exit(f"not stored: {answer['error']}")
        print(answer["seq"])
else:
    for partition in range(partitions):
        name = f"{log}-{partition}"
        left = ask(f"$JS.API.STREAM.INFO.{name}", {})["state"]["messages"]
        config = {"deliver_policy": "all", "ack_policy": "none", "mem_storage": True}
        consumer = ask(f"$JS.API.CONSUMER.CREATE.{name}", {"stream_name": name, "config": config})["name"]
        if left > 0:
            send(f"$JS.API.CONSUMER.MSG.NEXT.{name}.{consumer}", json.dumps({"batch": left}).encode(), "inbox.records")
        for _ in range(left):
            subject, reply, headers, payload = receive()
            channel = urllib.parse.unquote(subject.split(".", 2)[2])
            ours = {name: value for name, value in headers.items() if name.startswith("tideway-")}
            sequence = int(reply.split(".")[-4])
            print(json.dumps([partition, sequence, channel, ours, payload.decode()]))
