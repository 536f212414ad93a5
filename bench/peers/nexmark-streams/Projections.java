import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;

/** Queries without state: 0, 1, 2, 14, 22. */
final class Projections {
    private static final Reads PLAIN_BID = Reads.of(Event.Kind.BID, "auction", "bidder", "price", "dateTime", "extra");

    static final Query PASS_THROUGH = new Query.Stateless(PLAIN_BID, bid -> Rows.row(row -> {
        row.writeNumberField("auction", bid.auction);
        row.writeNumberField("bidder", bid.bidder);
        row.writeNumberField("price", bid.price);
        row.writeNumberField("dateTime", bid.dateTime);
        row.writeStringField("extra", bid.extra);
    }));

    static final Query CURRENCY_CONVERSION = new Query.Stateless(PLAIN_BID, bid -> Rows.row(row -> {
        row.writeNumberField("auction", bid.auction);
        row.writeNumberField("bidder", bid.bidder);
        writeEuros(row, bid.price);
        row.writeNumberField("dateTime", bid.dateTime);
        row.writeStringField("extra", bid.extra);
    }));

    static final Query SELECTION = new Query.Stateless(
            Reads.of(Event.Kind.BID, "auction", "price"),
            bid -> bid.auction % 123 != 0
                    ? null
                    : Rows.row(row -> {
                        row.writeNumberField("auction", bid.auction);
                        row.writeNumberField("price", bid.price);
                    }));

    static final Query CALCULATION = new Query.Stateless(
            PLAIN_BID,
            bid -> inThousandths(bid.price) <= 1_000_000_000L || inThousandths(bid.price) >= 50_000_000_000L
                    ? null
                    : Rows.row(row -> {
                        row.writeNumberField("auction", bid.auction);
                        row.writeNumberField("bidder", bid.bidder);
                        writeEuros(row, bid.price);
                        row.writeStringField("bidTimeType", timeType(bid.dateTime));
                        row.writeNumberField("dateTime", bid.dateTime);
                        row.writeStringField("extra", bid.extra);
                        row.writeNumberField("c_counts", bid.extra.chars().filter(c -> c == 'c').count());
                    }));

    static final Query URL_DIRECTORIES = new Query.Stateless(
            Reads.of(Event.Kind.BID, "auction", "bidder", "price", "channel", "url"), bid -> Rows.row(row -> {
                String[] parts = bid.url.split("/", 7);
                row.writeNumberField("auction", bid.auction);
                row.writeNumberField("bidder", bid.bidder);
                row.writeNumberField("price", bid.price);
                row.writeStringField("channel", bid.channel);
                for (int i = 1; i <= 3; i++) row.writeStringField("dir" + i, parts.length > i + 2 ? parts[i + 2] : "");
            }));

    private Projections() {}

    /** 0.908 × price. */
    private static long inThousandths(long price) {
        return price * 908;
    }

    /** Exactly, without zeros behind. */
    private static void writeEuros(JsonGenerator row, long price) throws IOException {
        long thousandths = inThousandths(price);
        row.writeFieldName("price");
        if (thousandths % 1000 == 0) row.writeNumber(thousandths / 1000);
        else row.writeNumber(java.math.BigDecimal.valueOf(thousandths, 3).stripTrailingZeros());
    }

    private static String timeType(long time) {
        long hour = Math.floorDiv(time, 3_600_000L) % 24;
        if (hour >= 8 && hour <= 18) return "dayTime";
        return hour <= 6 || hour >= 20 ? "nightTime" : "otherTime";
    }
}
