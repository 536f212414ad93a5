SELECT bid.auction, bid.bidder, bid.price, bid.channel, bid.url, bid.`dateTime`, bid.extra,
  auction.itemName, auction.description, auction.initialBid, auction.reserve, auction.expires, auction.seller, auction.category,
  auction.`dateTime` AS auction_dateTime, auction.extra AS auction_extra
FROM bid JOIN auction ON bid.auction = auction.id
WHERE auction.category = 10;
