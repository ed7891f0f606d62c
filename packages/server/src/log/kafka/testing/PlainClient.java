/** What a service in Java does with a log's topic: its own producer with its own headers, and its own consumer. */
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.zip.CRC32;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class PlainClient {
  public static void main(String[] args) throws Exception {
    produce(args[0], args[1], args[2]);
    consume(args[0], args[1]);
  }

  /** Fifty records to ten channels in a transaction that is aborted, fifty in one that is committed. */
  static void produce(String servers, String topic, String codec) throws Exception {
    Map<String, Object> settings = Map.of(
        "bootstrap.servers", servers, "compression.type", codec, "transactional.id", "plain-" + codec, "linger.ms", 20);
    try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
      int partitions = producer.partitionsFor(topic).size();
      producer.initTransactions();
      for (int transaction = 0; transaction < 2; transaction++) {
        producer.beginTransaction();
        for (int n = 0; n < 50; n++) {
          String channel = "java:" + n % 10;
          CRC32 crc = new CRC32();
          crc.update(channel.getBytes(StandardCharsets.UTF_8));
          var record = new ProducerRecord<>(
              topic, (int) (crc.getValue() % partitions), channel, "{\"n\":" + (transaction * 50 + n) + "}");
          record.headers().add("tideway-rid", ("j" + (transaction * 50 + n)).getBytes(StandardCharsets.UTF_8));
          producer.send(record).get();
        }
        if (transaction == 0) producer.abortTransaction();
        else producer.commitTransaction();
      }
    }
  }

  /** Prints each record of the topic: partition, offset, key, value, headers. */
  static void consume(String servers, String topic) {
    Map<String, Object> settings = Map.of("bootstrap.servers", servers, "auto.offset.reset", "earliest");
    try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
      List<TopicPartition> all =
          consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
      consumer.assign(all);
      consumer.seekToBeginning(all);
      Map<TopicPartition, Long> ends = consumer.endOffsets(Set.copyOf(all));
      while (all.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
          var headers = new TreeMap<String, String>();
          record.headers().forEach(h -> headers.put(h.key(), new String(h.value(), StandardCharsets.UTF_8)));
          String texts = headers.entrySet().stream().map(e -> e.getKey() + "=" + e.getValue()).collect(Collectors.joining(","));
          System.out.println(record.partition() + "\t" + record.offset() + "\t" + record.key() + "\t" + record.value() + "\t" + texts);
        }
      }
    }
  }
}
