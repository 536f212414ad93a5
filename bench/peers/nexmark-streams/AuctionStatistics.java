import java.nio.ByteBuffer;
import java.time.LocalDate;
import java.util.function.Consumer;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.state.KeyValueStore;

/** Query 17: bids and prices of each auction and day. The key is auction and day, what is kept are six numbers. */
final class AuctionStatistics {
    static final Query QUERY = new Query.Keyed(
            Reads.of(Event.Kind.BID, "auction", "price", "dateTime"),
            bid -> true,
            bid -> KeyValue.pair(
                    ByteBuffer.allocate(12).putLong(bid.auction).putInt(bid.day()).array(),
                    ByteBuffer.allocate(9).put((byte) bid.rank()).putLong(bid.price).array()),
            AuctionStatistics::add);

    private AuctionStatistics() {}

    private static void add(byte[] key, byte[] bid, KeyValueStore<byte[], byte[]> state, Consumer<byte[]> rows) {
        int rank = bid[0];
        long price = ByteBuffer.wrap(bid).getLong(1);
        byte[] before = state.get(key);
        long[] ranks = new long[3];
        long least = Long.MAX_VALUE, most = 0, sum = 0;
        if (before != null) {
            ByteBuffer kept = ByteBuffer.wrap(before);
            for (int i = 0; i < 3; i++) ranks[i] = kept.getLong();
            least = kept.getLong();
            most = kept.getLong();
            sum = kept.getLong();
        }
        ranks[rank - 1]++;
        put(key, state, rows, ranks, Math.min(least, price), Math.max(most, price), sum + price);
    }

    private static void put(
            byte[] key, KeyValueStore<byte[], byte[]> state, Consumer<byte[]> rows, long[] ranks, long least, long most, long sum) {
        ByteBuffer kept = ByteBuffer.allocate(48);
        for (long each : ranks) kept.putLong(each);
        state.put(key, kept.putLong(least).putLong(most).putLong(sum).array());
        long total = ranks[0] + ranks[1] + ranks[2];
        rows.accept(Rows.row(row -> {
            row.writeNumberField("auction", ByteBuffer.wrap(key).getLong());
            row.writeStringField("day", LocalDate.ofEpochDay(ByteBuffer.wrap(key).getInt(8)).toString());
            row.writeNumberField("total_bids", total);
            row.writeNumberField("rank1_bids", ranks[0]);
            row.writeNumberField("rank2_bids", ranks[1]);
            row.writeNumberField("rank3_bids", ranks[2]);
            row.writeNumberField("min_price", least);
            row.writeNumberField("max_price", most);
            row.writeNumberField("avg_price", sum / total);
            row.writeNumberField("sum_price", sum);
        }));
    }
}
