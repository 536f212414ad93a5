import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.LocalDate;
import java.util.EnumMap;
import java.util.Map;
import java.util.Set;

/** Which fields of which kinds of events a query reads; all else is passed over without an object. */
final class Reads {
    private static final JsonFactory JSON = new JsonFactory();
    private final Map<Event.Kind, Set<String>> fields = new EnumMap<>(Event.Kind.class);

    private Reads() {}

    static Reads of(Event.Kind kind, String... names) {
        return new Reads().and(kind, names);
    }

    Reads and(Event.Kind kind, String... names) {
        fields.put(kind, Set.of(names));
        return this;
    }

    /** Null where it is of a kind that the query does not read. */
    Event decoded(byte[] bytes) {
        try (JsonParser parser = JSON.createParser(bytes)) {
            parser.nextToken();
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String column = parser.currentName();
                if (parser.nextToken() != JsonToken.START_OBJECT) continue;
                Event.Kind kind = kindOf(column);
                Set<String> names = fields.get(kind);
                return names == null ? null : decoded(parser, new Event(kind), names);
            }
            throw new IllegalArgumentException("an event is a person, an auction or a bid");
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static Event.Kind kindOf(String column) {
        return switch (column) {
            case "person" -> Event.Kind.PERSON;
            case "auction" -> Event.Kind.AUCTION;
            case "bid" -> Event.Kind.BID;
            default -> throw new IllegalArgumentException("there is no column " + column);
        };
    }

    private static Event decoded(JsonParser parser, Event event, Set<String> names) throws IOException {
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String name = parser.currentName();
            parser.nextToken();
            if (!names.contains(name)) continue;
            switch (name) {
                case "id" -> event.id = parser.getLongValue();
                case "initialBid" -> event.initialBid = parser.getLongValue();
                case "reserve" -> event.reserve = parser.getLongValue();
                case "seller" -> event.seller = parser.getLongValue();
                case "category" -> event.category = parser.getLongValue();
                case "auction" -> event.auction = parser.getLongValue();
                case "bidder" -> event.bidder = parser.getLongValue();
                case "price" -> event.price = parser.getLongValue();
                case "name" -> event.name = parser.getText();
                case "city" -> event.city = parser.getText();
                case "state" -> event.state = parser.getText();
                case "itemName" -> event.itemName = parser.getText();
                case "description" -> event.description = parser.getText();
                case "channel" -> event.channel = parser.getText();
                case "url" -> event.url = parser.getText();
                case "extra" -> event.extra = parser.getText();
                case "dateTime" -> event.dateTime = timeOf(parser.getText());
                case "expires" -> event.expires = timeOf(parser.getText());
                default -> throw new IllegalArgumentException("there is no field " + name);
            }
        }
        return event;
    }

    /** Ms since 1970 of yyyy-mm-dd hh:mm:ss.mmm. */
    private static long timeOf(String text) {
        LocalDate date = LocalDate.of(two(text, 0) * 100 + two(text, 2), two(text, 5), two(text, 8));
        long minutes = date.toEpochDay() * 24 * 60 + two(text, 11) * 60 + two(text, 14);
        return (minutes * 60 + two(text, 17)) * 1000 + (text.charAt(20) - '0') * 100 + two(text, 21);
    }

    private static int two(String text, int at) {
        return (text.charAt(at) - '0') * 10 + text.charAt(at + 1) - '0';
    }
}
