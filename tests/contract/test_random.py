"""Whatever is done to a store, it answers as the one in memory does: the oracle that is obviously right."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.commands import Command, Player, commands
from tests.contract.conftest import in_memory, opened
from tests.contract.subject import DOMAIN, Subject

# Commands that can be sent again with the request id that they had.
WITH_REQUEST_ID = {"append", "deliver", "fill", "store", "copy", "create"}


@asynccontextmanager
async def fresh(subject: Subject) -> AsyncIterator[Player]:
    """A player with an account that nothing was done to."""
    await subject.store.accounts.add_domain(DOMAIN)
    address = f"random-{uuid4().hex}@{DOMAIN}"
    yield Player(subject, await subject.store.accounts.add_account(address, b"x"))


async def compare(subject: Subject, script: list[tuple[Command, bool]]) -> None:
    """Plays a script on both; every answer and what can be seen at the end must be equal."""
    async with in_memory() as oracle, fresh(oracle) as expected, fresh(subject) as player:
        for command, is_repeated in script:
            for _ in range(2 if is_repeated and command[0] in WITH_REQUEST_ID else 1):
                assert await player.play(command) == await expected.play(command), command
        assert await player.state() == await expected.state()


@pytest.mark.parametrize("kind", ["postgres", "remote"])
def test_a_store_answers_as_the_one_in_memory(kind: str, request: pytest.FixtureRequest) -> None:
    """Random commands, refusals and repeats among them."""
    with asyncio.Runner() as runner:
        context = opened(kind, request)
        subject = runner.run(context.__aenter__())

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(st.tuples(commands, st.booleans()), min_size=5, max_size=40))
        def play(script: list[tuple[Command, bool]]) -> None:
            runner.run(compare(subject, script))

        try:
            play()
        finally:
            runner.run(context.__aexit__(None, None, None))
