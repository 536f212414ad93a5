import java.util.Properties;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Queries of Nexmark in Kafka Streams: NexmarkStreams brokers from intervalMs stateFolder {query to}…, an application each. Runs until it is killed.
 *
 * Events have no key, so those of one key meet only behind a repartition topic. An event is decoded once, before it; behind it stands what the query
 * needs of the event, as few bytes as may be. The store is cached: of a key that changes several times between two commits the changelog gets one
 * record, while every update makes a row.
 */
public final class NexmarkStreams {
    private static final Serde<byte[]> BYTES = Serdes.ByteArray();

    public static void main(String[] arguments) {
        for (int i = 4; i < arguments.length; i += 2)
            start(arguments, Query.of(Integer.parseInt(arguments[i])), arguments[i + 1]);
    }

    private static void start(String[] arguments, Query query, String to) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, to + "-streams");
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments[2]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, "1");
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[3]);
        settings.put("auto.offset.reset", "earliest");

        StreamsBuilder builder = new StreamsBuilder();
        KStream<byte[], byte[]> events = builder.stream(arguments[1], Consumed.with(BYTES, BYTES));
        rows(builder, events, query).to(to, Produced.with(BYTES, BYTES));

        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        streams.start();
    }

    private static KStream<byte[], byte[]> rows(StreamsBuilder builder, KStream<byte[], byte[]> events, Query query) {
        if (query instanceof Query.Stateless stateless)
            return events.mapValues(stateless.reads()::decoded)
                    .filter((none, event) -> event != null)
                    .mapValues(stateless.row()::apply)
                    .filter((none, row) -> row != null);
        if (query instanceof Query.Staged staged) {
            KStream<byte[], byte[]> changes = rows(builder, events, staged.first())
                    .map((none, change) -> staged.keyed().apply(change));
            return updated(builder, changes, "second", staged.update());
        }
        Query.Keyed keyed = (Query.Keyed) query;
        KStream<byte[], byte[]> byKey = events.mapValues(keyed.reads()::decoded)
                .filter((none, event) -> event != null && keyed.matters().test(event))
                .map((none, event) -> keyed.keyed().apply(event));
        return updated(builder, byKey, "first", keyed.update());
    }

    /** @param name of the repartition topic and of the store */
    private static KStream<byte[], byte[]> updated(
            StreamsBuilder builder, KStream<byte[], byte[]> byKey, String name, Query.Update update) {
        builder.addStateStore(
                Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(name), BYTES, BYTES).withCachingEnabled());
        return byKey.repartition(Repartitioned.with(BYTES, BYTES).withName(name))
                .process(() -> new Updating(name, update), name);
    }

    private static final class Updating implements Processor<byte[], byte[], byte[], byte[]> {
        private final String store;
        private final Query.Update update;
        private ProcessorContext<byte[], byte[]> context;
        private KeyValueStore<byte[], byte[]> state;

        Updating(String store, Query.Update update) {
            this.store = store;
            this.update = update;
        }

        @Override
        public void init(ProcessorContext<byte[], byte[]> context) {
            this.context = context;
            this.state = context.getStateStore(store);
        }

        @Override
        public void process(Record<byte[], byte[]> event) {
            update.receive(event.key(), event.value(), state, row -> context.forward(new Record<>(null, row, event.timestamp())));
        }
    }
}
