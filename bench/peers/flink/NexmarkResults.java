import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.sink.SinkV2Provider;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DynamicTableSinkFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.types.RowKind;

/**
 * The connector "nexmark-results": each row as the JSON that JavaScript would make of it, times as ms since 1970, a line in a file; a row that is
 * deleted with "-" before it. Writing the file is measured apart.
 */
public final class NexmarkResults implements DynamicTableSinkFactory {
    static long rows;
    static long barriers;
    static long storeCpu;
    static long storeWall;

    private static final ConfigOption<String> PATH = ConfigOptions.key("path").stringType().noDefaultValue();

    @Override
    public String factoryIdentifier() {
        return "nexmark-results";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(PATH);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of();
    }

    @Override
    public DynamicTableSink createDynamicTableSink(Context context) {
        FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
        helper.validate();
        RowType type = (RowType) context.getPhysicalRowDataType().getLogicalType();
        return new Table(helper.getOptions().get(PATH), type);
    }

    private static final class Table implements DynamicTableSink {
        private final String path;
        private final RowType type;

        Table(String path, RowType type) {
            this.path = path;
            this.type = type;
        }

        /** What a row was before it changed is not asked for. */
        @Override
        public ChangelogMode getChangelogMode(ChangelogMode requested) {
            ChangelogMode.Builder wanted = ChangelogMode.newBuilder();
            for (RowKind kind : requested.getContainedKinds()) if (kind != RowKind.UPDATE_BEFORE) wanted.addContainedKind(kind);
            return wanted.build();
        }

        @Override
        public SinkRuntimeProvider getSinkRuntimeProvider(Context context) {
            return SinkV2Provider.of(new Lines(path, type));
        }

        @Override
        public DynamicTableSink copy() {
            return new Table(path, type);
        }

        @Override
        public String asSummaryString() {
            return "results of Nexmark";
        }
    }

    private static final class Lines implements Sink<RowData> {
        private final String path;
        private final RowType type;

        Lines(String path, RowType type) {
            this.path = path;
            this.type = type;
        }

        @Override
        public SinkWriter<RowData> createWriter(WriterInitContext context) throws IOException {
            return new Writer(new FileOutputStream(path), type);
        }
    }

    /** Writes a value as JSON to the end of the writer's buffer. */
    private interface Field {
        void write(RowData row);
    }

    private static final class Writer implements SinkWriter<RowData> {
        private static final int ROOM = 1024 * 1024;
        private final ThreadMXBean threads = ManagementFactory.getThreadMXBean();
        private final OutputStream file;
        private final byte[][] names;
        private final Field[] fields;
        private byte[] buffer = new byte[ROOM + ROOM / 4];
        private int length;
        private final byte[] digits = new byte[20];

        Writer(OutputStream file, RowType type) {
            this.file = file;
            List<String> names = type.getFieldNames();
            this.names = new byte[names.size()][];
            this.fields = new Field[names.size()];
            for (int i = 0; i < fields.length; i++) {
                this.names[i] = ((i == 0 ? "{" : ",") + "\"" + names.get(i) + "\":").getBytes(StandardCharsets.UTF_8);
                this.fields[i] = field(i, type.getTypeAt(i));
            }
        }

        @Override
        public void write(RowData row, Context context) throws IOException {
            if (row.getRowKind() == RowKind.DELETE) put('-');
            for (int i = 0; i < fields.length; i++) {
                put(names[i]);
                fields[i].write(row);
            }
            put('}');
            put('\n');
            rows++;
            if (length >= ROOM) store();
        }

        @Override
        public void flush(boolean endOfInput) throws IOException {
            if (!endOfInput) {
                barriers++;
                return;
            }
            store();
            NexmarkRun.allOut();
        }

        @Override
        public void close() throws IOException {
            file.close();
        }

        private void store() throws IOException {
            long cpu = threads.getCurrentThreadCpuTime();
            long wall = System.nanoTime();
            file.write(buffer, 0, length);
            length = 0;
            storeCpu += threads.getCurrentThreadCpuTime() - cpu;
            storeWall += System.nanoTime() - wall;
        }

        private Field field(int i, LogicalType type) {
            switch (type.getTypeRoot()) {
                case INTEGER:
                    return row -> putNumber(row.getInt(i));
                case BIGINT:
                    return row -> putNumber(row.getLong(i));
                case VARCHAR:
                case CHAR:
                    return row -> putText(row.getString(i).toBytes());
                case TIMESTAMP_WITHOUT_TIME_ZONE:
                case TIMESTAMP_WITH_LOCAL_TIME_ZONE:
                    return row -> putNumber(row.getTimestamp(i, 3).getMillisecond());
                case DECIMAL:
                    DecimalType decimal = (DecimalType) type;
                    return row ->
                            put(row.getDecimal(i, decimal.getPrecision(), decimal.getScale())
                                    .toBigDecimal()
                                    .stripTrailingZeros()
                                    .toPlainString()
                                    .getBytes(StandardCharsets.ISO_8859_1));
                default:
                    throw new IllegalArgumentException("results have no " + type);
            }
        }

        private void putText(byte[] text) {
            put('"');
            reserve(text.length);
            for (byte character : text) {
                if (character == '"' || character == '\\' || (character >= 0 && character < ' '))
                    throw new IllegalArgumentException("no text here needs escaping");
                buffer[length++] = character;
            }
            put('"');
        }

        private void putNumber(long number) {
            if (number < 0) {
                put(Long.toString(number).getBytes(StandardCharsets.ISO_8859_1));
                return;
            }
            int at = digits.length;
            do {
                digits[--at] = (byte) ('0' + number % 10);
                number /= 10;
            } while (number > 0);
            int count = digits.length - at;
            reserve(count);
            System.arraycopy(digits, at, buffer, length, count);
            length += count;
        }

        private void put(byte[] bytes) {
            reserve(bytes.length);
            System.arraycopy(bytes, 0, buffer, length, bytes.length);
            length += bytes.length;
        }

        private void put(char character) {
            reserve(1);
            buffer[length++] = (byte) character;
        }

        private void reserve(int more) {
            if (length + more > buffer.length) buffer = Arrays.copyOf(buffer, 2 * buffer.length + more);
        }
    }
}
