import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.state.KeyValueStore;

/** Queries 18 and 19. A bid goes through the repartition topic as the row that it may become, behind the number by which it is ranked. */
final class BestBids {
    private static final Reads WHOLE_BID =
            Reads.of(Event.Kind.BID, "auction", "bidder", "price", "channel", "url", "dateTime", "extra");

    /** Of each bidder on each auction. */
    static final Query LAST_BID = new Query.Keyed(
            WHOLE_BID,
            bid -> true,
            bid -> KeyValue.pair(
                    ByteBuffer.allocate(16).putLong(bid.bidder).putLong(bid.auction).array(), ranked(bid.dateTime, bid)),
            BestBids::keepLast);

    /** The ten highest bids of each auction, of equal ones those that came first. */
    static final Query TOP_TEN = new Query.Keyed(
            WHOLE_BID,
            bid -> true,
            bid -> KeyValue.pair(ByteBuffer.allocate(8).putLong(bid.auction).array(), ranked(bid.price, bid)),
            BestBids::keepTopTen);

    private static final int RANKS = 10;
    private static final byte[][] RANK_ROWS = new byte[RANKS][];

    static {
        for (int i = 0; i < RANKS; i++) {
            int rank = i + 1;
            RANK_ROWS[i] = Rows.row(row -> row.writeNumberField("rank_number", rank));
        }
    }

    private BestBids() {}

    private static byte[] ranked(long by, Event bid) {
        byte[] row = Rows.bid(bid);
        return ByteBuffer.allocate(8 + row.length).putLong(by).put(row).array();
    }

    private static long rankOf(byte[] ranked) {
        return ByteBuffer.wrap(ranked).getLong();
    }

    private static byte[] rowOf(byte[] ranked) {
        return Arrays.copyOfRange(ranked, 8, ranked.length);
    }

    private static void keepLast(byte[] key, byte[] bid, KeyValueStore<byte[], byte[]> state, Consumer<byte[]> rows) {
        byte[] before = state.get(key);
        if (before != null && rankOf(bid) < rankOf(before)) return;
        state.put(key, bid);
        rows.accept(rowOf(bid));
    }

    private static void keepTopTen(byte[] key, byte[] bid, KeyValueStore<byte[], byte[]> state, Consumer<byte[]> rows) {
        List<byte[]> top = ByteLists.read(state.get(key));
        int at = top.size();
        while (at > 0 && rankOf(top.get(at - 1)) < rankOf(bid)) at--;
        if (at == RANKS) return;
        top.add(at, bid);
        if (top.size() > RANKS) top.remove(RANKS);
        state.put(key, ByteLists.written(top));
        for (; at < top.size(); at++) rows.accept(Rows.joined(rowOf(top.get(at)), RANK_ROWS[at]));
    }
}
