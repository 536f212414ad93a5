import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The job of bench/kafka in Kafka Streams' own words: CountByKey brokers from to intervalMs threads memory|rocksdb stateFolder. Runs until it is killed.
 *
 * Records of the input have no key, so those of one key meet only behind a repartition topic. An event is decoded once, before it; behind it stands
 * what is left of the event beside its key, as a number. The store is cached: of a key that counts several times between two commits the changelog
 * gets one record, while every event makes a record of the output.
 */
public final class CountByKey {
    public static void main(String[] arguments) {
        String from = arguments[1], to = arguments[2];
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, to + "-streams");
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments[3]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[4]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[6]);
        settings.put("auto.offset.reset", "earliest");

        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(Stores.keyValueStoreBuilder(
                        arguments[5].equals("memory") ? Stores.inMemoryKeyValueStore("counts") : Stores.persistentKeyValueStore("counts"),
                        Serdes.String(),
                        Serdes.Long())
                .withCachingEnabled());
        builder.stream(from, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .map((none, event) -> CountJson.<KeyValue<String, Long>>decoded(event, KeyValue::pair))
                .repartition(Repartitioned.with(Serdes.String(), Serdes.Long()).withName("by-key"))
                .processValues(Count::new, "counts")
                .to(to, Produced.with(Serdes.String(), Serdes.ByteArray()));

        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        streams.start();
    }

    private static final class Count implements FixedKeyProcessor<String, Long, byte[]> {
        private FixedKeyProcessorContext<String, byte[]> context;
        private KeyValueStore<String, Long> counts;

        @Override
        public void init(FixedKeyProcessorContext<String, byte[]> context) {
            this.context = context;
            this.counts = context.getStateStore("counts");
        }

        @Override
        public void process(FixedKeyRecord<String, Long> event) {
            Long before = counts.get(event.key());
            long n = before == null ? 1 : before + 1;
            counts.put(event.key(), n);
            context.forward(event.withValue(CountJson.encoded(event.key(), event.value(), n)));
        }
    }
}
