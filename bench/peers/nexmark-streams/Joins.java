import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Queries 3 and 20. Both sides go through one repartition topic, so that they are joined in the order of the events. Of the first side stands there
 * what it adds to a row; of the second the rest of the row, which waits in a list until the first has come.
 */
final class Joins {
    /** Who sells something of category 10 in Oregon, Idaho or California. */
    static final Query LOCAL_ITEM_SUGGESTION = new Query.Keyed(
            Reads.of(Event.Kind.PERSON, "id", "name", "city", "state").and(Event.Kind.AUCTION, "id", "seller", "category"),
            event -> event.kind == Event.Kind.PERSON ? Set.of("OR", "ID", "CA").contains(event.state) : event.category == 10,
            event -> event.kind == Event.Kind.PERSON
                    ? KeyValue.pair(keyOf(event.id), tagged(Side.FIRST, personOf(event)))
                    : KeyValue.pair(
                            keyOf(event.seller), tagged(Side.SECOND, Rows.row(row -> row.writeNumberField("id", event.id)))),
            (key, value, state, rows) -> join(key, value, state, rows, (person, auction) -> Rows.joined(person, auction)));

    /** Bids with the auction they are for, of category 10. */
    static final Query EXPANDED_BID = new Query.Keyed(
            Reads.of(Event.Kind.BID, "auction", "bidder", "price", "channel", "url", "dateTime", "extra")
                    .and(
                            Event.Kind.AUCTION,
                            "id",
                            "itemName",
                            "description",
                            "initialBid",
                            "reserve",
                            "expires",
                            "seller",
                            "category",
                            "dateTime",
                            "extra"),
            event -> true,
            event -> event.kind == Event.Kind.BID
                    ? KeyValue.pair(keyOf(event.auction), tagged(Side.SECOND, Rows.bid(event)))
                    : KeyValue.pair(
                            keyOf(event.id),
                            event.category == 10 ? tagged(Side.FIRST, itemOf(event)) : tagged(Side.NONE, new byte[0])),
            (key, value, state, rows) -> join(key, value, state, rows, (item, bid) -> Rows.joined(bid, item)));

    /** The first byte of a value, of the repartition topic and of the store. NONE: there is a first side, but it makes no rows. */
    private enum Side {
        FIRST,
        SECOND,
        NONE
    }

    private interface Join {
        byte[] row(byte[] first, byte[] second);
    }

    private Joins() {}

    private static byte[] keyOf(long id) {
        return ByteBuffer.allocate(8).putLong(id).array();
    }

    private static byte[] tagged(Side side, byte[] rest) {
        return ByteBuffer.allocate(1 + rest.length).put((byte) side.ordinal()).put(rest).array();
    }

    private static Side sideOf(byte[] value) {
        return value[0] == 0 ? Side.FIRST : value[0] == 1 ? Side.SECOND : Side.NONE;
    }

    private static byte[] restOf(byte[] value) {
        return Arrays.copyOfRange(value, 1, value.length);
    }

    private static byte[] personOf(Event person) {
        return Rows.row(row -> {
            row.writeStringField("name", person.name);
            row.writeStringField("city", person.city);
            row.writeStringField("state", person.state);
        });
    }

    private static byte[] itemOf(Event item) {
        return Rows.row(row -> {
            row.writeStringField("itemName", item.itemName);
            row.writeStringField("description", item.description);
            row.writeNumberField("initialBid", item.initialBid);
            row.writeNumberField("reserve", item.reserve);
            row.writeNumberField("expires", item.expires);
            row.writeNumberField("seller", item.seller);
            row.writeNumberField("category", item.category);
            row.writeNumberField("auction_dateTime", item.dateTime);
            row.writeStringField("auction_extra", item.extra);
        });
    }

    /** The store has the first side of a key, once it has come; before that the second sides that wait. */
    private static void join(
            byte[] key, byte[] value, KeyValueStore<byte[], byte[]> state, Consumer<byte[]> rows, Join join) {
        byte[] before = state.get(key);
        boolean isWaiting = before == null || sideOf(before) == Side.SECOND;
        switch (sideOf(value)) {
            case FIRST -> {
                if (isWaiting) for (byte[] second : waiting(before)) rows.accept(join.row(restOf(value), second));
                state.put(key, value);
            }
            case NONE -> state.put(key, value);
            case SECOND -> {
                if (isWaiting) {
                    List<byte[]> seconds = waiting(before);
                    seconds.add(restOf(value));
                    state.put(key, tagged(Side.SECOND, ByteLists.written(seconds)));
                } else if (sideOf(before) == Side.FIRST) rows.accept(join.row(restOf(before), restOf(value)));
            }
        }
    }

    private static List<byte[]> waiting(byte[] before) {
        return ByteLists.read(before == null ? null : restOf(before));
    }
}
