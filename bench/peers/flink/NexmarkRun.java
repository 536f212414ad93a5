import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.StatementSet;
import org.apache.flink.table.api.TableDescriptor;
import org.apache.flink.table.api.TableEnvironment;

/**
 * Queries of Nexmark as one job, in a cluster of Flink's own within this process, over events in memory:
 * NexmarkRun settings events count tables waitMs (query results)…. Prints what it measured as JSON; results go to files, a line for each row.
 */
public final class NexmarkRun {
    /** CPU of this process, which is all there is, in ns; since it began. */
    private static long processCpu() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    private static long beganCpu;
    private static long halfCpu;
    private static long beganWall;
    private static long restKiB;
    private static long allOutWall;

    /** The first event is about to be read. */
    static void began() throws IOException {
        // The greatest resident memory is counted from here.
        Files.writeString(Path.of("/proc/self/clear_refs"), "5");
        restKiB = statusKiB("VmRSS:");
        beganCpu = processCpu();
        beganWall = System.nanoTime();
    }

    /** By then Java has compiled most of what it will. */
    static void halfRead() {
        halfCpu = processCpu();
    }

    /** The last result is out. */
    static void allOut() {
        allOutWall = System.nanoTime();
    }

    public static void main(String[] arguments) throws Exception {
        Path settings = Path.of(arguments[0]);
        NexmarkEvents.load(Path.of(arguments[1]), Integer.parseInt(arguments[2]));
        // What it took to read them is not there when the first one comes.
        System.gc();
        String tables = Files.readString(Path.of(arguments[3]));
        Configuration configuration = new Configuration();
        for (String line : Files.readAllLines(settings)) {
            int colon = line.indexOf(": ");
            configuration.setString(line.substring(0, colon), line.substring(colon + 2));
        }
        TableEnvironment environment =
                TableEnvironment.create(EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configuration).build());
        for (String statement : tables.replace("$waitMs", arguments[4]).split(";\\s*")) {
            if (!statement.isBlank()) environment.executeSql(statement);
        }
        StatementSet queries = environment.createStatementSet();
        for (int i = 5; i < arguments.length; i += 2) {
            String query = Files.readString(Path.of(arguments[i])).replaceAll(";\\s*$", "");
            TableDescriptor results = TableDescriptor.forConnector("nexmark-results").option("path", arguments[i + 1]).build();
            queries.addInsert(results, environment.sqlQuery(query));
        }
        queries.execute().await();

        long cpu = processCpu();
        System.out.printf(
                Locale.ROOT,
                "{\"cpuMs\":%.3f,\"laterCpuMs\":%.3f,\"wallMs\":%.3f,\"wholeCpuMs\":%.3f,\"sinkCpuMs\":%.3f,\"sinkWallMs\":%.3f,\"peakMiB\":%.1f,\"rows\":%d,\"barriers\":%d}%n",
                (cpu - beganCpu) / 1e6,
                (cpu - halfCpu) / 1e6,
                (allOutWall - beganWall) / 1e6,
                cpu / 1e6,
                NexmarkResults.storeCpu / 1e6,
                NexmarkResults.storeWall / 1e6,
                (statusKiB("VmHWM:") - restKiB) / 1024.0,
                NexmarkResults.rows,
                NexmarkResults.barriers);
        System.out.flush();
        // Nothing is left to be done that the cluster's threads would have to end for.
        Runtime.getRuntime().halt(0);
    }

    private static long statusKiB(String name) throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
            String line = lines.filter(each -> each.startsWith(name)).findFirst().orElseThrow();
            return Long.parseLong(line.replaceAll("\\D", ""));
        }
    }
}
