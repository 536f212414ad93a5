SELECT bid.auction, bid.price, bid.bidder, bid.`dateTime`, bid.extra
FROM bid
JOIN (
  SELECT MAX(price) AS most, window_end
  FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND))
  GROUP BY window_start, window_end
) AS highest
ON bid.price = highest.most
WHERE bid.`dateTime` BETWEEN highest.window_end - INTERVAL '10' SECOND AND highest.window_end;
