"""Whether what is stored adds up."""

import pytest

from services.mail.errors import AccountUnknown
from services.mail.store.upkeep import Verified
from tests.contract.subject import Subject

OCTETS = b"Subject: hello\r\n\r\nbody\r\n"


async def test_every_account_is_verified_once(subject: Subject) -> None:
    """What was appended, copied and expunged adds up; a copy shares its octets."""
    accounts = [await subject.account() for _ in range(3)]
    box = await subject.inbox()
    for _ in range(50):
        await subject.store.messages.append(box, OCTETS, len(OCTETS))
    await subject.store.messages.copy(box, ((1, 5),), "INBOX")
    steps = [step async for step in subject.store.upkeep.verify()]
    assert [text for step in steps for text in step.drifts] == []
    done = [step.account_id for step in steps if step.is_done]
    assert done == sorted(set(done))
    assert {each.account_id for each in accounts} | {box.account_id} <= set(done)
    own = [step for step in steps if step.account_id == box.account_id]
    assert (sum(step.bodies for step in own), sum(step.octets for step in own)) == (50, 50 * len(OCTETS))


async def test_one_account_is_verified_alone_and_taken_up_again(subject: Subject) -> None:
    """Behind each step that was told."""
    box = await subject.inbox()
    for _ in range(50):
        await subject.store.messages.append(box, OCTETS, len(OCTETS))
    upkeep, own = subject.store.upkeep, box.account_id

    async def steps(*after: int) -> list[Verified]:
        return [step async for step in upkeep.verify(own, *after)]

    whole = await steps()
    assert {step.account_id for step in whole} == {own}
    for place, step in enumerate(whole, 1):
        rest = await steps(step.account_id, step.body_id)
        assert rest[-1:] == whole[place:][-1:]
        assert sum(each.bodies for each in rest) == sum(each.bodies for each in whole[place:])
    with pytest.raises(AccountUnknown):
        await anext(aiter(upkeep.verify(2**40)))
