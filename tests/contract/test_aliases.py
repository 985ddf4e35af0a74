"""Aliases: addresses whose letters go to others."""

import asyncio
from uuid import uuid4

import pytest

from services.mail.errors import (
    AccountDisabled,
    AddressInUse,
    AliasLoop,
    AliasUnknown,
    BadCredentials,
    DomainUnknown,
    InvalidAddress,
    InvalidArgument,
    LimitExceeded,
    MailError,
    OverQuota,
    RecipientUnknown,
    TargetUnknown,
)
from services.mail.store import aliases as port
from services.mail.store.accounts import Quota
from services.mail.store.aliases import MOST_TARGETS
from tests.contract.subject import DOMAIN, Subject


def fresh(domain: str = DOMAIN) -> str:
    """An address that nobody has."""
    return f"a{uuid4().hex[:8]}@{domain}"


async def accounts(subject: Subject, count: int) -> list[str]:
    """Addresses of accounts, in order."""
    return sorted([(await subject.account()).address for _ in range(count)])


async def reached(subject: Subject, address: str, size: int = 0) -> list[str]:
    """The addresses of the accounts that a letter goes to."""
    return [found.address for found in await subject.store.accounts.resolve(address, size)]


async def led(subject: Subject, target: str) -> list[str]:
    """The aliases that lead to an address at once."""
    return [alias.address for alias in (await subject.store.aliases.list(1000, "", target)).aliases]


async def test_a_letter_to_an_alias_goes_to_each_of_its_accounts(subject: Subject) -> None:
    """RFC 5321 §3.9.1: in any spelling, and with a +detail that nobody has."""
    one, two, three = await accounts(subject, 3)
    alias = fresh()
    added = await subject.store.aliases.add(alias.upper(), [three, one.upper()])
    assert (added.address, list(added.targets)) == (alias, [one, three])
    assert list((await subject.store.aliases.add(alias, [two, one])).targets) == [one, two, three]
    for spelling in (alias, alias.title(), alias.replace("@", "+list@")):
        assert await reached(subject, spelling) == [one, two, three]
    inboxes = {found.mailbox_id for found in await subject.store.accounts.resolve(alias)}
    assert inboxes == {
        (await subject.store.mailboxes.status(subject.accounts[0].account_id, "INBOX"))[0].key.mailbox_id
    }


async def test_aliases_of_aliases_reach_each_account_once(subject: Subject) -> None:
    """However many ways lead there."""
    one, two = await accounts(subject, 2)
    low, middle, top = fresh(), fresh(), fresh()
    await subject.store.aliases.add(low, [one, two])
    await subject.store.aliases.add(middle, [low, two])
    await subject.store.aliases.add(top, [middle, low, one])
    assert await reached(subject, top) == [one, two]


async def test_an_alias_never_leads_to_itself(subject: Subject) -> None:
    """At once, or by others; and not where two are made at the same time."""
    (one,) = await accounts(subject, 1)
    first, second, third = fresh(), fresh(), fresh()
    add = subject.store.aliases.add
    with pytest.raises(AliasLoop):
        await add(first, [first])
    await add(first, [one])
    await add(second, [first])
    await add(third, [second])
    for loop in ([first], [third], [second, one]):
        with pytest.raises(AliasLoop):
            await add(first, loop)
    assert await reached(subject, third) == [one]
    fourth, fifth = fresh(), fresh()
    await add(fourth, [one])
    await add(fifth, [one])
    ends = await asyncio.gather(add(fourth, [fifth]), add(fifth, [fourth]), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["Alias", "AliasLoop"]


async def test_what_makes_no_alias_is_refused_and_changes_nothing(subject: Subject) -> None:
    """Address, domain, targets."""
    one, two = await accounts(subject, 2)
    add, alias = subject.store.aliases.add, fresh()
    asked: list[tuple[str, list[str], type[MailError]]] = [
        (one, [two], AddressInUse),
        (fresh("elsewhere.test"), [one], DomainUnknown),
        ("@elsewhere.test", [one], DomainUnknown),
        (alias, [], InvalidArgument),
        (alias, [one, fresh()], TargetUnknown),
        (alias, ["someone@elsewhere.test"], TargetUnknown),
        (alias, [f"@{DOMAIN}"], InvalidAddress),
        ("nobody", [one], InvalidAddress),
        ("@a b", [one], InvalidAddress),
        (alias, ["nobody"], InvalidAddress),
    ]
    for address, targets, refusal in asked:
        with pytest.raises(refusal):
            await add(address, targets)
    assert await led(subject, one) == []
    with pytest.raises(RecipientUnknown):
        await reached(subject, alias)
    await add(alias, [one])
    with pytest.raises(AddressInUse):
        await subject.store.accounts.add_account(alias, b"secret")
    with pytest.raises(BadCredentials):
        await subject.store.accounts.authenticate(alias, b"secret", "127.0.0.1")


async def test_an_alias_has_a_bound(subject: Subject) -> None:
    """Of targets."""
    (one,) = await accounts(subject, 1)
    aliases, alias = [fresh() for _ in range(MOST_TARGETS + 1)], fresh()
    for each in aliases:
        await subject.store.aliases.add(each, [one])
    with pytest.raises(LimitExceeded):
        await subject.store.aliases.add(alias, aliases)
    await subject.store.aliases.add(alias, aliases[1:])
    with pytest.raises(LimitExceeded):
        await subject.store.aliases.add(alias, aliases[:1])
    assert await reached(subject, alias) == [one]
    named_often = await subject.store.aliases.add(fresh(), [aliases[0]] * (MOST_TARGETS + 1) + aliases[1:3])
    assert list(named_often.targets) == sorted(aliases[:3])


async def test_a_catch_all_takes_what_nobody_else_does(subject: Subject) -> None:
    """After accounts, aliases, and either without +detail."""
    one, two, three = await accounts(subject, 3)
    domain = f"{uuid4().hex}.test"
    await subject.store.accounts.add_domain(domain)
    other = (await subject.store.accounts.add_account(f"other@{domain}", b"x")).address
    add = subject.store.aliases.add
    await add(f"sales@{domain}", [two])
    await add(f"sales+late@{domain}", [three])
    assert (await add(f"@{domain.upper()}", [one])).address == f"@{domain}"
    for local, found in (
        ("anybody", one), ("any+body", one), ("other", other), ("other+x", other), ("sales", two),
        ("SALES+x", two), ("sales+late", three), ("postmaster", one),
    ):  # fmt: skip
        assert await reached(subject, f"{local}@{domain}") == [found]
    with pytest.raises(RecipientUnknown):
        await reached(subject, fresh())


async def test_an_alias_that_leads_nowhere_goes(subject: Subject) -> None:
    """And out of those that led to it, as long as they lead elsewhere."""
    one, two = await accounts(subject, 2)
    low, lower, top = fresh(), fresh(), fresh()
    aliases = subject.store.aliases
    await aliases.add(low, [one])
    await aliases.add(lower, [low])
    await aliases.add(top, [lower, two])
    for asked in (
        aliases.remove(fresh()),
        aliases.remove(one),
        aliases.remove(top, [one]),
        aliases.remove(top, [two, one]),
    ):
        with pytest.raises(AliasUnknown):
            await asked
    assert await reached(subject, top) == [one, two]
    await aliases.remove(low, [one])
    assert await reached(subject, top) == [two]
    assert [await led(subject, each) for each in (one, two, low, lower)] == [[], [top], [], []]
    for gone in (low, lower):
        with pytest.raises(AliasUnknown):
            await aliases.remove(gone)
        with pytest.raises(RecipientUnknown):
            await reached(subject, gone)
    await aliases.remove(top)
    assert await led(subject, two) == []
    await subject.store.accounts.add_account(top, b"secret")


async def test_a_removed_account_leaves_its_aliases(subject: Subject) -> None:
    """Nothing leads to whoever takes its address next."""
    one, two = await accounts(subject, 2)
    alone, both, above = fresh(), fresh(), fresh()
    for alias, targets in ((alone, [one]), (both, [one, two]), (above, [alone])):
        await subject.store.aliases.add(alias, targets)
    await subject.store.accounts.remove_account((await subject.store.accounts.find_account(one)).account_id)
    assert await reached(subject, both) == [two]
    for gone in (alone, above):
        with pytest.raises(RecipientUnknown):
            await reached(subject, gone)
    await subject.store.accounts.add_account(one, b"secret")
    assert await led(subject, one) == []


async def test_closed_accounts_are_left_out_and_a_full_one_refuses(subject: Subject) -> None:
    """A letter is never taken for some of an alias's open accounts alone. RFC 5321 §4.2.2."""
    one, full = (await subject.account()).address, (await subject.account(Quota(bytes=10))).address
    alias, find = fresh(), subject.store.accounts.find_account
    await subject.store.aliases.add(alias, [one, full])
    assert await reached(subject, alias, 10) == sorted([one, full])
    with pytest.raises(OverQuota):
        await reached(subject, alias, 11)
    await subject.store.accounts.set_enabled((await find(full)).account_id, False)
    assert await reached(subject, alias, 11) == [one]
    await subject.store.accounts.set_enabled((await find(one)).account_id, False)
    with pytest.raises(AccountDisabled):
        await reached(subject, alias)


async def test_postmaster_may_be_named(subject: Subject) -> None:
    """For a domain by its address, for all by `postmaster` alone. RFC 5321 §4.5.1."""
    one, two = await accounts(subject, 2)
    aliases, domain = subject.store.aliases, f"{uuid4().hex}.test"
    await subject.store.accounts.add_domain(domain)
    assert (await aliases.add("PostMaster", [two])).address == "postmaster"
    try:
        for address in ("postmaster", "POSTMASTER", f"Postmaster@{domain}"):
            assert await reached(subject, address) == [two]
        await aliases.add(f"postmaster@{domain}", [one])
        assert await reached(subject, f"postmaster@{domain}") == [one]
        assert await reached(subject, "postmaster") == [two]
        with pytest.raises(RecipientUnknown):
            await reached(subject, "postmaster@elsewhere.test")
    finally:
        await aliases.remove("postmaster")


async def test_aliases_that_lead_to_many_are_listed_in_smaller_pages(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer has a bound; one alias at least is in it, however long."""
    monkeypatch.setattr(port, "PAGE_CHARACTERS", 100)
    one, two, three = await accounts(subject, 3)
    lists = sorted(fresh() for _ in range(5))
    for each in lists:
        await subject.store.aliases.add(each, [one, two, three] if each == lists[2] else [one])
    found: list[list[str]] = []
    token = ""
    while token or not found:
        page = await subject.store.aliases.list(1000, token, one)
        found.append([alias.address for alias in page.aliases])
        token = page.next_page_token
    assert found == [lists[:2], [lists[2]], lists[3:]]


async def test_aliases_are_listed_page_by_page(subject: Subject) -> None:
    """In the order of their addresses; or those of one target."""
    one, two = await accounts(subject, 2)
    made = sorted(fresh() for _ in range(5))
    for alias in made:
        await subject.store.aliases.add(alias, [one, two] if alias == made[0] else [one])
    for target, expected in (("", None), (one.upper(), made), (two, made[:1]), (fresh(), [])):
        found: list[str] = []
        token = ""
        while True:
            page = await subject.store.aliases.list(2, token, target)
            assert len(page.aliases) <= 2
            found += [alias.address for alias in page.aliases]
            assert all(alias.targets for alias in page.aliases)
            token = page.next_page_token
            if not token:
                break
        assert found == sorted(set(found))
        assert set(made) <= set(found) if expected is None else found == expected
    with pytest.raises(InvalidAddress):
        await subject.store.aliases.list(2, "", "nobody")
