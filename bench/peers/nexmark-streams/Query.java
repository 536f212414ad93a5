import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Predicate;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.state.KeyValueStore;

/** What is read of events, and what becomes of them. */
sealed interface Query {
    /** @param row of an event; null: none */
    record Stateless(Reads reads, Function<Event, byte[]> row) implements Query {}

    /** @param keyed the key by which events meet, and what the query needs of the event, as the repartition topic has it */
    record Keyed(Reads reads, Predicate<Event> matters, Function<Event, KeyValue<byte[], byte[]>> keyed, Update update)
            implements Query {}

    /** What the first puts out goes through a repartition topic again. @param keyed what that topic has of it */
    record Staged(Keyed first, Function<byte[], KeyValue<byte[], byte[]>> keyed, Update update) implements Query {}

    /** What an event changes behind the repartition topic, and the rows that it makes. */
    interface Update {
        void receive(byte[] key, byte[] value, KeyValueStore<byte[], byte[]> state, Consumer<byte[]> rows);
    }

    static Query of(int number) {
        return switch (number) {
            case 0 -> Projections.PASS_THROUGH;
            case 1 -> Projections.CURRENCY_CONVERSION;
            case 2 -> Projections.SELECTION;
            case 3 -> Joins.LOCAL_ITEM_SUGGESTION;
            case 4 -> WinningBids.AVERAGE_PRICE;
            case 9 -> WinningBids.WINNING_BIDS;
            case 14 -> Projections.CALCULATION;
            case 15 -> DistinctCounts.BIDDING_STATISTICS;
            case 16 -> DistinctCounts.CHANNEL_STATISTICS;
            case 17 -> AuctionStatistics.QUERY;
            case 18 -> BestBids.LAST_BID;
            case 19 -> BestBids.TOP_TEN;
            case 20 -> Joins.EXPANDED_BID;
            case 22 -> Projections.URL_DIRECTORIES;
            default -> throw new IllegalArgumentException("there is no query " + number + " here");
        };
    }
}
