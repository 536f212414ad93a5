import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import java.time.LocalTime;
import java.util.function.Consumer;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Queries 15 and 16: bids, bidders and auctions, overall and by rank of the price. The store has the counts of each key, and who was seen as entries
 * of its own: key, what it is, its id; in one byte a bit for "at all" and one for each rank.
 */
final class DistinctCounts {
    /** What is counted, each four times. */
    private static final String[] NAMES = {"bids", "bidders", "auctions"};

    private static final int NEWEST_AT = 8 * 4 * NAMES.length;
    private static final int TIME_AT = 17;

    /** Of each day. */
    static final Query BIDDING_STATISTICS = new Query.Keyed(
            Reads.of(Event.Kind.BID, "auction", "bidder", "price", "dateTime"),
            bid -> true,
            bid -> KeyValue.pair(dayOf(bid), valueOf(bid)),
            (key, value, state, rows) -> {
                byte[] counts = counted(key, value, state, 0);
                rows.accept(Rows.joined(Rows.row(row -> row.writeStringField("day", dayIn(key))), countsRow(counts)));
            });

    /** Of each channel and day; and the last minute with a bid. */
    static final Query CHANNEL_STATISTICS = new Query.Keyed(
            Reads.of(Event.Kind.BID, "auction", "bidder", "price", "channel", "dateTime"),
            bid -> true,
            bid -> {
                byte[] channel = bid.channel.getBytes(StandardCharsets.UTF_8);
                return KeyValue.pair(
                        ByteBuffer.allocate(4 + channel.length).put(dayOf(bid)).put(channel).array(), valueOf(bid));
            },
            (key, value, state, rows) -> {
                long time = ByteBuffer.wrap(value).getLong(TIME_AT);
                byte[] counts = counted(key, value, state, time);
                byte[] head = Rows.row(row -> {
                    row.writeStringField("channel", new String(key, 4, key.length - 4, StandardCharsets.UTF_8));
                    row.writeStringField("day", dayIn(key));
                    row.writeStringField("minute", minuteOf(ByteBuffer.wrap(counts).getLong(NEWEST_AT)));
                });
                rows.accept(Rows.joined(head, countsRow(counts)));
            });

    private DistinctCounts() {}

    private static byte[] dayOf(Event bid) {
        return ByteBuffer.allocate(4).putInt(bid.day()).array();
    }

    private static String dayIn(byte[] key) {
        return LocalDate.ofEpochDay(ByteBuffer.wrap(key).getInt()).toString();
    }

    private static String minuteOf(long time) {
        return LocalTime.MIN.plusMinutes(Math.floorDiv(time, 60_000L)).toString();
    }

    private static byte[] valueOf(Event bid) {
        ByteBuffer value = ByteBuffer.allocate(TIME_AT + 8).put((byte) bid.rank()).putLong(bid.bidder);
        return value.putLong(bid.auction).putLong(bid.dateTime).array();
    }

    /** The counts with one bid more, and the newest time of those that were told. */
    private static byte[] counted(byte[] key, byte[] bid, KeyValueStore<byte[], byte[]> state, long time) {
        int bits = 1 | 1 << bid[0];
        byte[] before = state.get(entry(key, 0, 0));
        ByteBuffer counts = ByteBuffer.wrap(before == null ? new byte[NEWEST_AT + 8] : before.clone());
        add(counts, 0, bits);
        add(counts, 1, unseen(entry(key, 1, ByteBuffer.wrap(bid).getLong(1)), bits, state));
        add(counts, 2, unseen(entry(key, 2, ByteBuffer.wrap(bid).getLong(9)), bits, state));
        counts.putLong(NEWEST_AT, Math.max(time, counts.getLong(NEWEST_AT)));
        state.put(entry(key, 0, 0), counts.array());
        return counts.array();
    }

    private static byte[] entry(byte[] key, int what, long id) {
        return ByteBuffer.allocate(key.length + 9).put(key).put((byte) what).putLong(id).array();
    }

    /** Those of the bits that are new. */
    private static int unseen(byte[] entry, int bits, KeyValueStore<byte[], byte[]> state) {
        byte[] before = state.get(entry);
        int seen = before == null ? 0 : before[0];
        if ((seen | bits) != seen) state.put(entry, new byte[] {(byte) (seen | bits)});
        return bits & ~seen;
    }

    private static void add(ByteBuffer counts, int what, int bits) {
        for (int i = 0; i < 4; i++) {
            int at = 8 * (4 * what + i);
            if ((bits & 1 << i) != 0) counts.putLong(at, counts.getLong(at) + 1);
        }
    }

    private static byte[] countsRow(byte[] counts) {
        return Rows.row(row -> {
            for (int i = 0; i < 4 * NAMES.length; i++) {
                String which = i % 4 == 0 ? "total" : "rank" + i % 4;
                row.writeNumberField(which + "_" + NAMES[i / 4], ByteBuffer.wrap(counts).getLong(8 * i));
            }
        });
    }
}
