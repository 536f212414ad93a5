/** An event as far as a query reads it. */
final class Event {
    enum Kind {
        PERSON,
        AUCTION,
        BID
    }

    final Kind kind;
    long id, initialBid, reserve, expires, seller, category;
    long auction, bidder, price;
    String name, city, state, itemName, description, channel, url, extra;
    /** Ms since 1970, as is {@code expires}. */
    long dateTime;

    Event(Kind kind) {
        this.kind = kind;
    }

    int rank() {
        return price < 10_000 ? 1 : price < 1_000_000 ? 2 : 3;
    }

    int day() {
        return (int) Math.floorDiv(dateTime, 86_400_000L);
    }
}
