import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;

/** The events and the output of bench/kafka as JSON, read and written without objects in between. */
final class CountJson {
    private static final JsonFactory JSON = new JsonFactory();

    interface Made<T> {
        T of(String key, long at);
    }

    private CountJson() {}

    /** {"key": …, "at": …} */
    static <T> T decoded(byte[] event, Made<T> made) {
        try (JsonParser parser = JSON.createParser(event)) {
            String key = null;
            long at = 0;
            parser.nextToken();
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String name = parser.currentName();
                parser.nextToken();
                if (name.equals("key")) key = parser.getText();
                else if (name.equals("at")) at = parser.getLongValue();
                else parser.skipChildren();
            }
            return made.of(key, at);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    static byte[] encoded(String key, long at, long n) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(64);
        try (JsonGenerator row = JSON.createGenerator(bytes)) {
            row.writeStartObject();
            row.writeStringField("key", key);
            row.writeNumberField("at", at);
            row.writeNumberField("n", n);
            row.writeEndObject();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return bytes.toByteArray();
    }
}
