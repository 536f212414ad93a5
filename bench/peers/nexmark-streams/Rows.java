import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;

/** Rows as JSON, written without objects in between. */
final class Rows {
    private static final JsonFactory JSON = new JsonFactory();

    interface Fields {
        void write(JsonGenerator row) throws IOException;
    }

    private Rows() {}

    static byte[] row(Fields fields) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(256);
        try (JsonGenerator row = JSON.createGenerator(bytes)) {
            row.writeStartObject();
            fields.write(row);
            row.writeEndObject();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return bytes.toByteArray();
    }

    /** One row with the fields of two. */
    static byte[] joined(byte[] first, byte[] second) {
        byte[] row = Arrays.copyOf(first, first.length + second.length - 1);
        row[first.length - 1] = ',';
        System.arraycopy(second, 1, row, first.length, second.length - 1);
        return row;
    }

    /** All of a bid. */
    static byte[] bid(Event bid) {
        return row(row -> {
            row.writeNumberField("auction", bid.auction);
            row.writeNumberField("bidder", bid.bidder);
            row.writeNumberField("price", bid.price);
            row.writeStringField("channel", bid.channel);
            row.writeStringField("url", bid.url);
            row.writeNumberField("dateTime", bid.dateTime);
            row.writeStringField("extra", bid.extra);
        });
    }
}
