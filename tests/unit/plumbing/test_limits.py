"""How many connections are taken, and what it costs to know it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.plumbing.net.limits import MOST_REMEMBERED, Limits, TooMany
from services.plumbing.net.networks import Networks


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def refusal(limits: Limits, address: str) -> str:
    """Which limit says no to a connection, or nothing; it is counted then."""
    try:
        limits.admit(address)
    except TooMany as over:
        return over.limit
    return ""


def test_one_address_cannot_take_every_connection() -> None:
    """IPv6 counts by /64, an IPv4 address is the same in IPv6's cloak; loopback counts only in total."""
    limits = Limits(total=16, per_address=2)
    over = "address_connections"
    assert [refusal(limits, f"2001:db8::{n}") for n in range(1, 4)] == ["", "", over]
    assert refusal(limits, "2001:db8:0:1::1") == ""
    assert [refusal(limits, "192.0.2.1") for _ in range(3)] == ["", "", over]
    assert [refusal(limits, "::ffff:192.0.2.1"), refusal(limits, "192.0.2.2")] == [over, ""]
    assert [refusal(limits, "127.0.0.1") for _ in range(10)] == [""] * 10
    limits.release("192.0.2.1")
    assert [refusal(limits, "192.0.2.1"), refusal(limits, "198.51.100.1")] == ["", "connections"]
    assert limits.open == 16


@pytest.mark.parametrize("addresses", ["192.0.2.{}", "2001:db8:0:{}::1"])
def test_one_network_cannot_take_every_connection(addresses: str) -> None:
    """An IPv4 /24 and an IPv6 /48, however many addresses it has."""
    limits = Limits(per_address=2, per_network=3)
    assert [refusal(limits, addresses.format(n)) for n in range(1, 5)] == ["", "", "", "network_connections"]
    assert refusal(limits, "192.0.3.1") == ""
    limits.release(addresses.format(2))
    assert refusal(limits, addresses.format(9)) == ""


@pytest.mark.parametrize(
    ("addresses", "limit"), [("192.0.2.1", "address_rate"), ("192.0.2.{}", "network_rate")]
)
def test_a_rate_allows_a_minutes_worth_at_once_and_then_its_own_pace(addresses: str, limit: str) -> None:
    """A burst is a client's right; whoever keeps on knocking gets no less for it."""
    clock = Clock()
    limits = Limits(address_rate=4, network_rate=4 if "{" in addresses else 100, clock=clock)
    for n in range(1, 5):
        assert refusal(limits, addresses.format(n)) == ""
        limits.release(addresses.format(n))
    assert [refusal(limits, addresses.format(n)) for n in range(5, 105)] == [limit] * 100
    clock.now += 15.0
    assert [refusal(limits, addresses.format(n)) for n in (5, 6)] == ["", limit]
    clock.now += 60.0
    assert [refusal(limits, addresses.format(n)) for n in range(7, 12)] == ["", "", "", "", limit]


def test_a_client_behind_a_proxy_is_counted_for_itself() -> None:
    """Proxies are not held to the limits of an address; their clients are."""
    limits = Limits(total=10, per_address=1, exempt=Networks.read("10.0.0.0/8"))
    assert [refusal(limits, "10.0.0.1") for _ in range(3)] == [""] * 3
    limits.move("10.0.0.1", "192.0.2.1")
    with pytest.raises(TooMany, match="address_connections"):
        limits.move("10.0.0.1", "192.0.2.1")
    assert refusal(limits, "192.0.2.1") == "address_connections"
    limits.release("192.0.2.1")
    limits.move("10.0.0.1", "192.0.2.1")
    assert limits.open == 2


def test_what_is_remembered_is_bounded_and_forgotten() -> None:
    """attacks: whoever has many addresses cannot have us keep a table of them."""
    clock = Clock()
    limits = Limits(clock=clock)
    for n in range(3 * MOST_REMEMBERED):
        address = f"2001:db8:{n >> 8:x}:{n & 255:x}::1"
        limits.admit(address)
        limits.release(address)
    assert limits.remembered == MOST_REMEMBERED
    clock.now += 61.0
    limits.admit("192.0.2.1")
    assert limits.remembered == 1


ADDRESSES = ["192.0.2.1", "192.0.2.2", "192.0.3.1", "2001:db8::1", "2001:db8:0:1::1", "127.0.0.1", "10.0.0.1"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["admit", "move", "release", "wait"]), st.sampled_from(ADDRESSES)),
        max_size=60,
    )
)
def test_whatever_comes_and_goes_the_counts_are_those_of_a_plain_list(steps: list[tuple[str, str]]) -> None:
    """Limits against a list of who is in and a list of who came when."""
    clock = Clock()
    limits = Limits(6, 2, 3, 4, 5, exempt=Networks.read("10.0.0.0/8"), clock=clock)
    inside: list[str] = []
    for step, address in steps:
        match step:
            case "admit":
                with suppress(TooMany):
                    limits.admit(address)
                    inside.append(address)
            case "move" if "10.0.0.1" in inside:
                with suppress(TooMany):
                    limits.move("10.0.0.1", address)
                    inside.remove("10.0.0.1")
                    inside.append(address)
            case "release" if address in inside:
                inside.remove(address)
                limits.release(address)
            case "wait":
                clock.now += 10.0
        assert limits.open == len(inside) <= 6
        assert all(inside.count(each) <= 2 for each in ADDRESSES[:5])
        assert sum(each.startswith("192.0.2.") for each in inside) <= 3
        assert sum(each.startswith("2001:") for each in inside) <= 3
    for address in inside:
        limits.release(address)
    clock.now += 61.0
    assert [refusal(limits, each) for each in ADDRESSES[:3]] == [""] * 3
