// The programs of peer-job.ts in Kafka Streams' own words. Arguments: brokers, application id, input topic, number of its records.
// Ends when all of them are processed and their output is committed.

import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers;

public class KafkaStreamsPeer {
  static final Duration SIZE = Duration.ofMillis(1_000);
  static final Duration GAP = Duration.ofMillis(400);
  static final Duration GRACE = Duration.ofMillis(600);
  static final long WITHIN = 2_000;

  public static void main(String[] args) throws Exception {
    String brokers = args[0], id = args[1], input = args[2];
    long count = Long.parseLong(args[3]);

    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, id);
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    settings.put(StreamsConfig.DSL_STORE_SUPPLIERS_CLASS_CONFIG, BuiltInDslStoreSuppliers.InMemoryDslStoreSuppliers.class);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, args[4]);
    // Every update leaves, not the newest of each commit.
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    settings.put("auto.offset.reset", "earliest");

    AtomicLong left = new AtomicLong(count);
    CountDownLatch done = new CountDownLatch(1);
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(
        Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore("seen"), Serdes.String(), Serdes.Long()));
    KStream<String, String> events = builder.stream(input);

    events.groupByKey().count(Materialized.with(Serdes.String(), Serdes.Long()))
        .toStream()
        .mapValues((key, n) -> String.format("{\"key\":\"%s\",\"n\":%d}", key, n))
        .to(id + "-count");

    events.groupByKey()
        .windowedBy(TimeWindows.ofSizeAndGrace(SIZE, GRACE))
        .aggregate(() -> "0 0", (key, value, all) -> add(all, value), Materialized.with(Serdes.String(), Serdes.String()))
        .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
        .toStream().map(KafkaStreamsPeer::row).to(id + "-tumbling");

    events.groupByKey()
        .windowedBy(SessionWindows.ofInactivityGapAndGrace(GAP, GRACE))
        .aggregate(() -> "0 0", (key, value, all) -> add(all, value), (key, a, b) -> merge(a, b),
            Materialized.with(Serdes.String(), Serdes.String()))
        .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
        .toStream().map(KafkaStreamsPeer::row).to(id + "-session");

    events.processValues(Dedupe::new, "seen")
        .mapValues((key, value) -> String.format("{\"key\":\"%s\",\"value\":%s}", key, value))
        .to(id + "-dedupe");

    // Last, so that a record has gone through all of the others.
    events.foreach((key, value) -> {
      if (left.decrementAndGet() == 0) done.countDown();
    });

    try (KafkaStreams streams = new KafkaStreams(builder.build(), settings)) {
      streams.setUncaughtExceptionHandler(error -> {
        error.printStackTrace();
        System.exit(1);
        return null;
      });
      streams.start();
      done.await();
    }
  }

  static String add(String all, String value) {
    return merge(all, "1 " + value);
  }

  static String merge(String a, String b) {
    String[] left = a.split(" "), right = b.split(" ");
    return (Long.parseLong(left[0]) + Long.parseLong(right[0])) + " " + (Long.parseLong(left[1]) + Long.parseLong(right[1]));
  }

  static KeyValue<String, String> row(Windowed<String> at, String all) {
    String[] parts = all.split(" ");
    return KeyValue.pair(at.key(), String.format("{\"key\":\"%s\",\"start\":%d,\"end\":%d,\"n\":%s,\"sum\":%s}",
        at.key(), at.window().start(), at.window().end(), parts[0], parts[1]));
  }

  /** The first of each id, and again when WITHIN is over; forgotten by stream time. */
  static class Dedupe implements FixedKeyProcessor<String, String, String> {
    private FixedKeyProcessorContext<String, String> context;
    private KeyValueStore<String, Long> seen;

    public void init(FixedKeyProcessorContext<String, String> context) {
      this.context = context;
      this.seen = context.getStateStore("seen");
    }

    public void process(FixedKeyRecord<String, String> record) {
      String id = record.key() + "/" + record.value();
      Long until = seen.get(id);
      if (until != null && record.timestamp() < until && context.currentStreamTimeMs() < until) return;
      seen.put(id, record.timestamp() + WITHIN);
      context.forward(record);
    }
  }
}
