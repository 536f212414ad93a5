SELECT bidder, COUNT(*) AS bid_count, window_start AS starttime, window_end AS endtime
FROM TABLE(TUMBLE((SELECT bidder, PROCTIME() AS came FROM bid), DESCRIPTOR(came), INTERVAL '10' SECOND))
GROUP BY bidder, window_start, window_end;
