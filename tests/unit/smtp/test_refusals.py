"""What a door tells of its refusals."""

from services.mail.smtp import replies
from services.mail.smtp.paths import NULL, Path
from services.smtp.refusals import BURST, Refusals
from tests.fakes.memory import MemoryStore


async def test_a_flood_is_kept_as_far_as_there_is_room() -> None:
    """The first ones, in the words that the peer heard."""
    store = MemoryStore()
    async with Refusals(store.traces) as refusals:
        for number in range(3 * BURST):
            refusals.note("192.0.2.1", NULL, Path(f"Nobody{number}", "example.com"), replies.NO_RECIPIENTS)
    kept = store.state.traces
    assert [each.recipient for each in kept] == [f"nobody{number}@example.com" for number in range(BURST)]
    assert kept[0].detail == "554 5.5.1 No valid recipients"
    assert (kept[0].sender, kept[0].peer) == ("", "192.0.2.1")
