import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource.NumberSequenceSplit;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiter;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.format.ProjectableDecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.SourceProvider;
import org.apache.flink.table.connector.source.abilities.SupportsProjectionPushDown;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.DataType;
import org.apache.flink.util.UserCodeClassLoader;

/**
 * The connector "nexmark-events": a table over events in memory, decoded by the format that the table names, as much of each as the query asks
 * for. Position and checkpoints are those of Flink's generator source.
 */
public final class NexmarkEvents implements DynamicTableSourceFactory {
    private static byte[][] events;

    /** A line for each event. */
    static void load(Path path, int count) throws IOException {
        byte[] bytes = Files.readAllBytes(path);
        events = new byte[count][];
        int at = 0;
        for (int i = 0; i < count; i++) {
            int end = at;
            while (bytes[end] != '\n') end++;
            events[i] = Arrays.copyOfRange(bytes, at, end);
            at = end + 1;
        }
    }

    private static final ConfigOption<Long> WAIT_MS = ConfigOptions.key("wait-ms").longType().defaultValue(0L);

    @Override
    public String factoryIdentifier() {
        return "nexmark-events";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(FactoryUtil.FORMAT);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of(WAIT_MS);
    }

    @Override
    public DynamicTableSource createDynamicTableSource(Context context) {
        FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
        DecodingFormat<DeserializationSchema<RowData>> format =
                helper.discoverDecodingFormat(DeserializationFormatFactory.class, FactoryUtil.FORMAT);
        helper.validate();
        return new Table(
                (ProjectableDecodingFormat<DeserializationSchema<RowData>>) format,
                context.getPhysicalRowDataType(),
                helper.getOptions().get(WAIT_MS));
    }

    private static final class Table implements ScanTableSource, SupportsProjectionPushDown {
        private final ProjectableDecodingFormat<DeserializationSchema<RowData>> format;
        private final DataType physical;
        private final long waitMs;
        private int[][] projection;
        private DataType produced;

        Table(ProjectableDecodingFormat<DeserializationSchema<RowData>> format, DataType physical, long waitMs) {
            this.format = format;
            this.physical = physical;
            this.waitMs = waitMs;
        }

        @Override
        public ChangelogMode getChangelogMode() {
            return ChangelogMode.insertOnly();
        }

        @Override
        public boolean supportsNestedProjection() {
            return format.supportsNestedProjection();
        }

        @Override
        public void applyProjection(int[][] fields, DataType type) {
            projection = fields;
            produced = type;
        }

        @Override
        public ScanRuntimeProvider getScanRuntimeProvider(ScanContext context) {
            DeserializationSchema<RowData> decoder =
                    projection == null
                            ? format.createRuntimeDecoder(context, physical)
                            : format.createRuntimeDecoder(context, physical, projection);
            Decode decode = new Decode(decoder);
            var type = context.<RowData>createTypeInformation(produced == null ? physical : produced);
            // Its readers ask for leave before each event, so only where that is wanted.
            return SourceProvider.of(
                    waitMs == 0
                            ? new DataGeneratorSource<>(decode, events.length, type)
                            : new DataGeneratorSource<>(decode, events.length, new WaitAtEnd(events.length, waitMs), type));
        }

        @Override
        public DynamicTableSource copy() {
            Table copy = new Table(format, physical, waitMs);
            copy.projection = projection;
            copy.produced = produced;
            return copy;
        }

        @Override
        public String asSummaryString() {
            return "events of Nexmark in memory";
        }
    }

    private static final class Decode implements GeneratorFunction<Long, RowData> {
        private final DeserializationSchema<RowData> decoder;

        Decode(DeserializationSchema<RowData> decoder) {
            this.decoder = decoder;
        }

        @Override
        public void open(SourceReaderContext context) throws Exception {
            decoder.open(
                    new DeserializationSchema.InitializationContext() {
                        @Override
                        public MetricGroup getMetricGroup() {
                            return context.metricGroup();
                        }

                        @Override
                        public UserCodeClassLoader getUserCodeClassLoader() {
                            return context.getUserCodeClassLoader();
                        }
                    });
        }

        @Override
        public RowData map(Long index) throws Exception {
            int i = (int) (long) index;
            if (i == 0) NexmarkRun.began();
            if (i == events.length / 2) NexmarkRun.halfRead();
            return decoder.deserialize(events[i]);
        }
    }

    /** Windows on the wall clock that are still open when a source ends never fire in Flink: the end waits until they have. */
    private static final class WaitAtEnd implements RateLimiterStrategy<NumberSequenceSplit> {
        private final int count;
        private final long waitMs;

        WaitAtEnd(int count, long waitMs) {
            this.count = count;
            this.waitMs = waitMs;
        }

        @Override
        public RateLimiter<NumberSequenceSplit> createRateLimiter(int parallelism) {
            return new RateLimiter<>() {
                private int seen;

                @Override
                public CompletionStage<Void> acquire(int events) {
                    seen += events;
                    CompletableFuture<Void> leave = new CompletableFuture<>();
                    return seen <= count ? CompletableFuture.completedFuture(null) : leave.completeOnTimeout(null, waitMs, TimeUnit.MILLISECONDS);
                }
            };
        }
    }
}
