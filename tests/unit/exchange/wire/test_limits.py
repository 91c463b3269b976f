"""Rate limits: counts by address, group and window of wall time; who goes on is blocked."""

from upbit_exchange.wire.limits import LimitResult, MessageLimit, RateLimit

HERE, THERE = "127.0.0.1", "10.0.0.1"


def statuses(limit: RateLimit, group: str, wall_ms: int, times: int, origin: bool = False) -> list[int]:
    return [limit.take(HERE, group, wall_ms, origin).status for _ in range(times)]


def test_rest_grants_10_a_second_by_group_and_address_and_5_connects() -> None:
    limit = RateLimit()
    assert [limit.take(HERE, "candles", 5_000).left for _ in range(10)] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert limit.take(HERE, "candles", 5_999) == LimitResult(429)
    assert limit.take(HERE, "ticker", 5_999).left == 9
    assert limit.take(THERE, "candles", 5_999).left == 9
    assert limit.take(HERE, "candles", 6_000).left == 9
    assert statuses(limit, "websocket", 5_000, 6) == [200] * 5 + [429]


def test_a_request_with_an_origin_header_is_granted_once_in_10_seconds() -> None:
    limit = RateLimit()
    assert statuses(limit, "ticker", 10_000, 2, origin=True) == [200, 429]
    assert statuses(limit, "candles", 19_999, 1, origin=True) == [429]
    assert statuses(limit, "ticker", 19_999, 1) == [200]
    assert statuses(limit, "ticker", 20_000, 1, origin=True) == [200]


def test_who_goes_on_after_429_is_blocked_everywhere_and_longer_each_time() -> None:
    limit = RateLimit()
    assert statuses(limit, "ticker", 60_000, 31) == [200] * 10 + [429] * 20 + [418]
    assert limit.take(HERE, "candles", 60_001) == LimitResult(418, blocked_s=10)
    assert limit.take(HERE, "websocket", 69_999) == LimitResult(418, blocked_s=1)
    assert limit.take(THERE, "ticker", 69_999).status == 200
    assert statuses(limit, "ticker", 70_000, 30) == [200] * 10 + [429] * 20
    assert limit.take(HERE, "ticker", 70_000) == LimitResult(418, blocked_s=20)
    assert limit.take(HERE, "ticker", 90_000).status == 200
    # Refusals in another minute are counted from zero.
    assert statuses(limit, "ticker", 119_000, 30) == [200] * 10 + [429] * 20
    assert statuses(limit, "ticker", 120_000, 30) == [200] * 10 + [429] * 20
    assert limit.take(HERE, "ticker", 120_000) == LimitResult(418, blocked_s=40)


def test_a_block_lasts_10_minutes_at_most() -> None:
    limit = RateLimit()
    now = 0
    blocks: list[int] = []
    while len(blocks) < 8:
        verdict = limit.take(HERE, "ticker", now)
        if verdict.status == 418:
            blocks.append(verdict.blocked_s)
            now += verdict.blocked_s * 1_000
    assert blocks == [10, 20, 40, 80, 160, 320, 600, 600]


def test_switched_off_it_counts_and_refuses_nothing() -> None:
    off = RateLimit(limited=False)
    verdicts = [off.take(HERE, "candles", 5_000, origin=True) for _ in range(200)]
    assert {verdict.status for verdict in verdicts} == {200}
    assert (verdicts[0].left, verdicts[-1].left) == (9, 0)


def test_a_connection_sends_5_messages_a_second_and_100_a_minute() -> None:
    burst = MessageLimit()
    assert [burst.allows(1_000) for _ in range(6)] == [True] * 5 + [False]
    assert burst.allows(2_000)
    steady = MessageLimit()
    granted = [steady.allows(60_000 + second * 1_000) for second in range(50) for _ in range(3)]
    assert granted == [True] * 100 + [False] * 50
    assert steady.allows(120_000)
