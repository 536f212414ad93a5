import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Queries 4 and 9: the best bid of each auction while it runs, so far. A value is a byte, which tells auctions from bids, two numbers, and what the
 * query needs beside them. The store has a list of values: bids until their auction has come; then the auction and its best bid, if there is one.
 */
final class WinningBids {
    private static final byte AUCTION = 0, BID = 1;
    private static final int HEAD = 17;

    /** The highest bid of each auction, averaged by category: a change of the first goes through a topic of its own to the second. */
    static final Query AVERAGE_PRICE = new Query.Staged(
            new Query.Keyed(
                    Reads.of(Event.Kind.AUCTION, "id", "category", "dateTime", "expires")
                            .and(Event.Kind.BID, "auction", "price", "dateTime"),
                    event -> true,
                    keyed(auction -> ByteBuffer.allocate(8).putLong(auction.category).array(), bid -> new byte[0]),
                    (key, value, state, changes) -> receive(key, value, state, changes, WinningBids::change)),
            change -> KeyValue.pair(Arrays.copyOf(change, 8), Arrays.copyOfRange(change, 8, change.length)),
            WinningBids::average);

    /** Each auction with its best bid. */
    static final Query WINNING_BIDS = new Query.Keyed(
            Reads.of(
                            Event.Kind.AUCTION,
                            "id",
                            "itemName",
                            "description",
                            "initialBid",
                            "reserve",
                            "dateTime",
                            "expires",
                            "seller",
                            "category",
                            "extra")
                    .and(Event.Kind.BID, "auction", "bidder", "price", "dateTime", "extra"),
            event -> true,
            keyed(WinningBids::itemOf, WinningBids::offerOf),
            (key, value, state, rows) ->
                    receive(key, value, state, rows, (auction, before, bid) -> Rows.joined(restOf(auction), restOf(bid))));

    private interface Made {
        /** Null: none. @param before the best bid until now; null: there was none */
        byte[] row(byte[] auction, byte[] before, byte[] bid);
    }

    private WinningBids() {}

    private static Function<Event, KeyValue<byte[], byte[]>> keyed(
            Function<Event, byte[]> ofAuction, Function<Event, byte[]> ofBid) {
        return event -> event.kind == Event.Kind.AUCTION
                ? KeyValue.pair(keyOf(event.id), value(AUCTION, event.dateTime, event.expires, ofAuction.apply(event)))
                : KeyValue.pair(keyOf(event.auction), value(BID, event.price, event.dateTime, ofBid.apply(event)));
    }

    private static byte[] keyOf(long id) {
        return ByteBuffer.allocate(8).putLong(id).array();
    }

    private static byte[] value(byte what, long first, long second, byte[] rest) {
        return ByteBuffer.allocate(HEAD + rest.length).put(what).putLong(first).putLong(second).put(rest).array();
    }

    /** Of an auction its begin, of a bid its price. */
    private static long firstOf(byte[] value) {
        return ByteBuffer.wrap(value).getLong(1);
    }

    /** Of an auction its end, of a bid its time. */
    private static long secondOf(byte[] value) {
        return ByteBuffer.wrap(value).getLong(9);
    }

    private static byte[] restOf(byte[] value) {
        return Arrays.copyOfRange(value, HEAD, value.length);
    }

    private static void receive(
            byte[] key, byte[] value, KeyValueStore<byte[], byte[]> state, Consumer<byte[]> rows, Made made) {
        List<byte[]> kept = ByteLists.read(state.get(key));
        if (value[0] == AUCTION) {
            byte[] best = null;
            for (byte[] early : kept) best = best(value, best, early, rows, made);
            state.put(key, ByteLists.written(best == null ? List.of(value) : List.of(value, best)));
        } else if (kept.isEmpty() || kept.get(0)[0] == BID) {
            kept.add(value);
            state.put(key, ByteLists.written(kept));
        } else {
            byte[] before = kept.size() == 1 ? null : kept.get(1);
            byte[] best = best(kept.get(0), before, value, rows, made);
            if (best != before) state.put(key, ByteLists.written(List.of(kept.get(0), best)));
        }
    }

    private static byte[] best(byte[] auction, byte[] before, byte[] bid, Consumer<byte[]> rows, Made made) {
        long price = firstOf(bid), time = secondOf(bid);
        if (time < firstOf(auction) || time > secondOf(auction)) return before;
        if (before != null && (price < firstOf(before) || price == firstOf(before) && time >= secondOf(before)))
            return before;
        byte[] row = made.row(auction, before, bid);
        if (row != null) rows.accept(row);
        return bid;
    }

    private static byte[] itemOf(Event item) {
        return Rows.row(row -> {
            row.writeNumberField("id", item.id);
            row.writeStringField("itemName", item.itemName);
            row.writeStringField("description", item.description);
            row.writeNumberField("initialBid", item.initialBid);
            row.writeNumberField("reserve", item.reserve);
            row.writeNumberField("dateTime", item.dateTime);
            row.writeNumberField("expires", item.expires);
            row.writeNumberField("seller", item.seller);
            row.writeNumberField("category", item.category);
            row.writeStringField("extra", item.extra);
        });
    }

    private static byte[] offerOf(Event bid) {
        return Rows.row(row -> {
            row.writeNumberField("auction", bid.auction);
            row.writeNumberField("bidder", bid.bidder);
            row.writeNumberField("price", bid.price);
            row.writeNumberField("bid_dateTime", bid.dateTime);
            row.writeStringField("bid_extra", bid.extra);
        });
    }

    /** Category, highest price before (0: none) and now. */
    private static byte[] change(byte[] auction, byte[] before, byte[] bid) {
        long highest = before == null ? 0 : firstOf(before);
        if (highest == firstOf(bid)) return null;
        return ByteBuffer.allocate(24).put(restOf(auction)).putLong(highest).putLong(firstOf(bid)).array();
    }

    private static void average(
            byte[] category, byte[] change, KeyValueStore<byte[], byte[]> state, Consumer<byte[]> rows) {
        byte[] kept = state.get(category);
        long before = ByteBuffer.wrap(change).getLong(), now = ByteBuffer.wrap(change).getLong(8);
        long sum = (kept == null ? 0 : ByteBuffer.wrap(kept).getLong()) + now - before;
        long items = (kept == null ? 0 : ByteBuffer.wrap(kept).getLong(8)) + (before == 0 ? 1 : 0);
        state.put(category, ByteBuffer.allocate(16).putLong(sum).putLong(items).array());
        rows.accept(Rows.row(row -> {
            row.writeNumberField("category", ByteBuffer.wrap(category).getLong());
            row.writeNumberField("average", sum / items);
        }));
    }
}
