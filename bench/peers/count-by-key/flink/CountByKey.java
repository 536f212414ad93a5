import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeHint;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * The job of bench/kafka in Flink's own words, in a cluster within this process: CountByKey brokers from to intervalMs parallelism memory|rocksdb
 * stateFolder. Runs until it is killed. No SQL: there a count that changes is an update of its row, here each event makes a record.
 */
public final class CountByKey {
    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[6]);
        Configuration settings = new Configuration();
        settings.setString("execution.checkpointing.interval", arguments[3] + " ms");
        settings.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        settings.setString("execution.checkpointing.dir", folder.resolve("checkpoints").toUri().toString());
        settings.setString("execution.checkpointing.incremental", "true");
        settings.setString("pipeline.object-reuse", "true");
        settings.setString("parallelism.default", arguments[4]);
        settings.setString("state.backend.type", arguments[5].equals("memory") ? "hashmap" : "rocksdb");
        settings.setString("taskmanager.memory.managed.size", "512 mb");
        // Begun anew by nobody: what fails is to be seen.
        settings.setString("restart-strategy.type", "none");

        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(settings);
        environment
                .fromSource(
                        KafkaSource.<Tuple2<String, Long>>builder()
                                .setBootstrapServers(arguments[0])
                                .setTopics(arguments[1])
                                .setGroupId(arguments[2] + "-flink")
                                .setStartingOffsets(OffsetsInitializer.earliest())
                                .setProperty("isolation.level", "read_committed")
                                .setValueOnlyDeserializer(new Decoded())
                                .build(),
                        WatermarkStrategy.noWatermarks(),
                        "in")
                .keyBy(event -> event.f0, Types.STRING)
                .process(new Count())
                .sinkTo(KafkaSink.<Tuple3<String, Long, Long>>builder()
                        .setBootstrapServers(arguments[0])
                        .setRecordSerializer(new Encoded(arguments[2]))
                        .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                        .setTransactionalIdPrefix(arguments[2] + "-flink")
                        // Less than what a broker allows; Flink's own hour is more.
                        .setProperty("transaction.timeout.ms", "600000")
                        .build());
        environment.execute(arguments[2]);
    }

    private static final class Decoded implements DeserializationSchema<Tuple2<String, Long>> {
        @Override
        public Tuple2<String, Long> deserialize(byte[] event) {
            return CountJson.decoded(event, Tuple2::of);
        }

        @Override
        public boolean isEndOfStream(Tuple2<String, Long> event) {
            return false;
        }

        @Override
        public TypeInformation<Tuple2<String, Long>> getProducedType() {
            return TypeInformation.of(new TypeHint<>() {});
        }
    }

    private static final class Encoded implements KafkaRecordSerializationSchema<Tuple3<String, Long, Long>> {
        private final String topic;

        Encoded(String topic) {
            this.topic = topic;
        }

        @Override
        public ProducerRecord<byte[], byte[]> serialize(Tuple3<String, Long, Long> counted, KafkaSinkContext context, Long time) {
            byte[] row = CountJson.encoded(counted.f0, counted.f1, counted.f2);
            return new ProducerRecord<>(topic, null, time, counted.f0.getBytes(StandardCharsets.UTF_8), row);
        }
    }

    private static final class Count extends KeyedProcessFunction<String, Tuple2<String, Long>, Tuple3<String, Long, Long>> {
        private transient ValueState<Long> counts;

        @Override
        public void open(OpenContext context) {
            counts = getRuntimeContext().getState(new ValueStateDescriptor<>("counts", Long.class));
        }

        @Override
        public void processElement(Tuple2<String, Long> event, Context context, Collector<Tuple3<String, Long, Long>> out)
                throws IOException {
            Long before = counts.value();
            long n = before == null ? 1 : before + 1;
            counts.update(n);
            out.collect(Tuple3.of(event.f0, event.f1, n));
        }
    }
}
