"""Frames as Upbit sends them: real values, spelled as on the wire where that is known (docs/upbit.md)."""

TRADE = (
    b'{"type":"trade","code":"KRW-BTC","timestamp":1787728554853,"trade_date":"2026-08-26","trade_time":"07:15:54",'
    b'"trade_timestamp":1787728554797,"trade_price":109847000.0,"trade_volume":0.00509799,"ask_bid":"ASK",'
    b'"prev_closing_price":109165000.0,"change":"RISE","change_price":682000.0,"sequential_id":17877285547970000,'
    b'"best_ask_price":109867000,"best_ask_size":0.0099545,"best_bid_price":109847000,"best_bid_size":0.1583673,'
    b'"stream_type":"SNAPSHOT"}'
)
# The same trade over the WebSocket and over REST; REST signs change_price.
TRADE_LIVE = (
    b'{"type":"trade","code":"KRW-BTC","timestamp":1785395043831,"trade_date":"2026-07-30","trade_time":"07:04:03",'
    b'"trade_timestamp":1785395043779,"trade_price":91361000.0,"trade_volume":0.01275549,"ask_bid":"ASK",'
    b'"prev_closing_price":91424000.0,"change":"FALL","change_price":63000.0,"sequential_id":17853950437790001,'
    b'"best_ask_price":91370000,"best_ask_size":0.0070459,"best_bid_price":91361000,"best_bid_size":0.00196362,'
    b'"stream_type":"REALTIME"}'
)
REST_TRADE = (
    b'{"market":"KRW-BTC","trade_date_utc":"2026-07-30","trade_time_utc":"07:04:03","timestamp":1785395043779,'
    b'"trade_price":91361000.00000000,"trade_volume":0.01275549,"prev_closing_price":91424000.00000000,'
    b'"change_price":-63000.00000000,"ask_bid":"ASK","sequential_id":17853950437790001}'
)
# A trade of 2021: no best prices, whole seconds, exponents, a 17-digit id on a BTC pair (in DEFAULT names).
TRADE_2021 = (
    b'{"type":"trade","code":"BTC-ITAM","timestamp":1618678272375,"trade_date":"2021-04-17","trade_time":"16:51:12",'
    b'"trade_timestamp":1618678272000,"trade_price":0.00000113,"trade_volume":3416.89061628,"ask_bid":"ASK",'
    b'"prev_closing_price":0.00000119,"change":"FALL","change_price":6E-8,"sequential_id":16186782720000000,'
    b'"stream_type":"REALTIME"}'
)
TICKER = (
    b'{"type":"ticker","code":"KRW-BTC","opening_price":31883000,"high_price":32310000,"low_price":31855000,'
    b'"trade_price":32287000,"prev_closing_price":31883000.00000000,"acc_trade_price":78039261076.51241000,'
    b'"change":"RISE","change_price":404000.00000000,"signed_change_price":404000.00000000,'
    b'"change_rate":0.0126713295,"signed_change_rate":0.0126713295,"ask_bid":"ASK","trade_volume":0.03103806,'
    b'"acc_trade_volume":2429.58834336,"trade_date":"20230221","trade_time":"074102","trade_timestamp":1676965262139,'
    b'"acc_ask_volume":1146.25573608,"acc_bid_volume":1283.33260728,"highest_52_week_price":57678000.00000000,'
    b'"highest_52_week_date":"2022-03-28","lowest_52_week_price":20700000.00000000,'
    b'"lowest_52_week_date":"2022-12-30","market_state":"ACTIVE","is_trading_suspended":false,"delisting_date":null,'
    b'"market_warning":"NONE","timestamp":1676965262177,"acc_trade_price_24h":228827082483.70729000,'
    b'"acc_trade_volume_24h":7158.80283560,"stream_type":"REALTIME"}'
)
ORDERBOOK = (
    b'{"type":"orderbook","code":"KRW-BTC","timestamp":1790134743006,"total_ask_size":1.83604250,'
    b'"total_bid_size":1.62306717,"orderbook_units":[{"ask_price":1.16539E8,"bid_price":1.16538E8,'
    b'"ask_size":0.02054761,"bid_size":0.06612366},{"ask_price":1.16542E8,"bid_price":1.16537E8,'
    b'"ask_size":0.00077720,"bid_size":0.01129382}],"stream_type":"REALTIME","level":0}'
)
ORDERBOOK_PLAIN = (
    b'{"type":"orderbook","code":"KRW-ETH","timestamp":1787727947404,"total_ask_size":82.10045353,'
    b'"total_bid_size":53.43604349,"orderbook_units":[{"ask_price":3426000.0,"bid_price":3425000.0,'
    b'"ask_size":80.27690046,"bid_size":36.87952898},{"ask_price":3427000.0,"bid_price":3424000.0,'
    b'"ask_size":1.82355307,"bid_size":16.55651371}],"stream_type":"SNAPSHOT","level":0}'
)
