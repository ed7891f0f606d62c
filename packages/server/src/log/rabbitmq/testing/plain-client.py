# A client of RabbitMQ that is not ours (pika): all it knows of Tideway is docs/logs/rabbitmq.md.
#
#   plain-client.py URL LOG append CHANNEL COUNT   stores records
#   plain-client.py URL LOG read COUNT             prints so many records of all partitions, as JSON lines
import json, sys, zlib
import pika

url, log, command = sys.argv[1:4]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.basic_qos(prefetch_count=100)


def follow(queue, take):
    """From the beginning. It is not cancelled later: pika would say nack of what came ahead, which streams do not know."""

    def on_message(_, method, properties, body):
        channel.basic_ack(method.delivery_tag)
        take(properties.headers or {}, body)

    channel.basic_consume(queue, on_message, arguments={"x-stream-offset": "first"})


def wait_for(things, count):
    while len(things) < count:
        connection.process_data_events(time_limit=None)


# The newest generation of the constants is in force; here nothing was lost, so there is one.
generations = []
follow(f"{log}.constants", lambda _, body: generations.append(json.loads(body)))
wait_for(generations, 1)
partitions = generations[-1]["partitions"]

if command == "append":
    name, count = sys.argv[4], int(sys.argv[5])
    channel.confirm_delivery()
    for n in range(count):
        headers = {"tideway-channel": name}
        if n % 2 == 0:
            headers |= {"tideway-user": "zoë", "tideway-key": n}
        channel.basic_publish(
            log,
            str(zlib.crc32(name.encode()) % len(partitions)),
            json.dumps({"python": n}),
            pika.BasicProperties(headers=headers, timestamp=1_764_000_000 + n),
            mandatory=True,
        )
else:
    records = []
    for number, partition in enumerate(partitions):

        def take(headers, body, number=number):
            # The first message of a stream is no record.
            if "tideway-channel" in headers:
                records.append([number, headers["x-stream-offset"], headers["tideway-channel"], headers, body.decode()])

        follow(partition["identity"], take)
    wait_for(records, int(sys.argv[4]))
    for record in records:
        print(json.dumps(record))
