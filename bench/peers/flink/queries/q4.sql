SELECT category, AVG(highest) AS average
FROM (
  SELECT auction.id, auction.category, MAX(bid.price) AS highest
  FROM auction JOIN bid ON auction.id = bid.auction
  WHERE bid.`dateTime` BETWEEN auction.`dateTime` AND auction.expires
  GROUP BY auction.id, auction.category
)
GROUP BY category;
