import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** Lists of bytes as a store keeps them: each behind its length. */
final class ByteLists {
    private ByteLists() {}

    /** Of null: an empty one. */
    static List<byte[]> read(byte[] bytes) {
        List<byte[]> list = new ArrayList<>();
        if (bytes == null) return list;
        for (ByteBuffer left = ByteBuffer.wrap(bytes); left.hasRemaining(); ) {
            byte[] each = new byte[left.getInt()];
            left.get(each);
            list.add(each);
        }
        return list;
    }

    static byte[] written(List<byte[]> list) {
        ByteBuffer bytes = ByteBuffer.allocate(list.stream().mapToInt(each -> 4 + each.length).sum());
        for (byte[] each : list) bytes.putInt(each.length).put(each);
        return bytes.array();
    }
}
