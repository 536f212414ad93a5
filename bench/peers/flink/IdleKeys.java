import java.lang.management.ManagementFactory;
import java.lang.management.MemoryMXBean;
import java.util.Locale;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.util.Collector;

/**
 * What a key that nothing happens to takes of Flink's heap, in a cluster within this process: IdleKeys keys temporaryFolder. Each key is a text with two
 * numbers in a ValueState. Prints bytes of a key, and for how long a full collection of all of them holds the process.
 */
public final class IdleKeys {
    public static final class Account {
        public double count;
        public double total;
    }

    private static final MemoryMXBean MEMORY = ManagementFactory.getMemoryMXBean();

    private static long usedAfterCollection() {
        System.gc();
        return MEMORY.getHeapMemoryUsage().getUsed();
    }

    public static void main(String[] arguments) throws Exception {
        long keys = Long.parseLong(arguments[0]);
        Configuration settings = new Configuration();
        settings.setString("pipeline.object-reuse", "true");
        settings.setString("parallelism.default", "1");
        settings.setString("state.backend.type", "hashmap");
        settings.setString("io.tmp.dirs", arguments[1]);
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(settings);
        environment
                .fromSequence(0, keys - 1)
                .keyBy(n -> "acc-" + n, Types.STRING)
                .process(new Count(keys))
                .sinkTo(new DiscardingSink<>());
        environment.execute("idle-keys");
    }

    private static final class Count extends KeyedProcessFunction<String, Long, Void> {
        private final long keys;
        private transient ValueState<Account> accounts;
        private transient long before;
        private transient long seen;

        Count(long keys) {
            this.keys = keys;
        }

        @Override
        public void open(OpenContext context) {
            accounts = getRuntimeContext().getState(new ValueStateDescriptor<>("account", Types.POJO(Account.class)));
            before = usedAfterCollection();
        }

        @Override
        public void processElement(Long n, Context context, Collector<Void> out) throws Exception {
            Account account = accounts.value();
            if (account == null) account = new Account();
            account.count++;
            account.total += n % 1000;
            accounts.update(account);
            if (++seen < keys) return;
            long from = System.nanoTime();
            long used = usedAfterCollection();
            double collectionMs = (System.nanoTime() - from) / 1e6;
            double bytes = (double) (used - before) / keys;
            System.out.printf(Locale.ROOT, "{\"bytesPerKey\":%.1f,\"collectionMs\":%.1f,\"collections\":1}%n", bytes, collectionMs);
            System.out.flush();
            Runtime.getRuntime().halt(0);
        }
    }
}
