"""Accounts, their addresses, secrets and quotas."""

import hashlib
from uuid import uuid4

import pytest

from services.mail.errors import (
    AccountDisabled,
    AccountUnknown,
    AddressInUse,
    BadCredentials,
    DomainInUse,
    DomainUnknown,
    InvalidAddress,
    InvalidArgument,
    MailboxNotFound,
    OverQuota,
    RecipientUnknown,
    RelayRefused,
)
from services.mail.store.accounts import Quota
from services.mail.store.sessions import Process, Session
from tests.contract.subject import DOMAIN, Subject, letter

NOWHERE = 2**40


async def test_a_domain_is_taken_once(subject: Subject) -> None:
    """In one spelling. RFC 5321 §2.3.5."""
    name = f"{uuid4().hex}.test"
    assert await subject.store.accounts.add_domain(name)
    assert not await subject.store.accounts.add_domain(name.upper() + ".")
    domains = list(await subject.store.accounts.list_domains())
    assert domains.count(name) == 1
    assert domains == sorted(domains)


@pytest.mark.parametrize("domain", ["", ".", "a b", "a..b", "-a.test", "a@b", "x" * 300, "a\0.test"])
async def test_what_is_no_domain_is_refused(subject: Subject, domain: str) -> None:
    """InvalidAddress."""
    with pytest.raises(InvalidAddress):
        await subject.store.accounts.add_domain(domain)


async def test_an_account_is_found_by_its_address_in_any_case(subject: Subject) -> None:
    """One spelling each, unique over the installation."""
    account = await subject.account(Quota(1000, 10))
    assert account.is_enabled
    assert account.quota == Quota(1000, 10)
    assert await subject.store.accounts.find_account(account.address.upper()) == account
    with pytest.raises(AddressInUse):
        await subject.store.accounts.add_account(account.address.upper(), b"x")
    with pytest.raises(AccountUnknown):
        await subject.store.accounts.find_account(f"nobody@{DOMAIN}")


async def test_what_makes_no_account_is_refused(subject: Subject) -> None:
    """Domain, address, password, quota."""
    await subject.account()
    add = subject.store.accounts.add_account
    fresh = f"{uuid4().hex}@{DOMAIN}"
    for asked, refusal in (
        (add("a@elsewhere.test", b"x"), DomainUnknown),
        (add("nobody", b"x"), InvalidAddress),
        (add(f"a@b@{DOMAIN}", b"x"), InvalidAddress),
        (add(f"@{DOMAIN}", b"x"), InvalidAddress),
        (add(fresh, b""), InvalidArgument),
        (add(fresh, b"a\0b"), InvalidArgument),
        (add(fresh, b"x", Quota(bytes=-1)), InvalidArgument),
    ):
        with pytest.raises(refusal):
            await asked
    with pytest.raises(AccountUnknown):
        await subject.store.accounts.find_account(fresh)


@pytest.mark.parametrize("password", [b"x", b" ", b"p\xff\xfe\n", "pässwörd".encode(), b"x" * 1000])
async def test_any_octets_but_nul_are_a_password(subject: Subject, password: bytes) -> None:
    """They are compared as they are."""
    account = await subject.account()
    await subject.store.accounts.set_password(account.account_id, password)
    login = subject.store.accounts.authenticate
    assert await login(account.address.upper(), password, "192.0.2.1") == account
    for wrong in (password + b"x", b"secret", b"", password[:-1] + b"y"):
        if wrong != password:
            with pytest.raises(BadCredentials):
                await login(account.address, wrong, "127.0.0.1")


async def test_apop_takes_the_digest_of_the_timestamp_and_the_secret(subject: Subject) -> None:
    """RFC 1939 §7, with the RFC's example; a secret that was replaced or removed is none."""
    account = await subject.account()
    accounts = subject.store.accounts
    timestamp, digest = (
        b"<1896.697170952@dbc.mtview.ca.us>",
        bytes.fromhex("c4c9334bac560ecc979e58001b3e22fb"),
    )
    with pytest.raises(BadCredentials):
        await accounts.authenticate_apop(account.address, timestamp, digest, "127.0.0.1")
    await accounts.set_apop_secret(account.account_id, b"another")
    await accounts.set_apop_secret(account.account_id, b"tanstaaf")
    login = account.address.upper()
    assert await accounts.authenticate_apop(login, timestamp, digest, "127.0.0.1") == account
    for wrong in (
        accounts.authenticate_apop(login, timestamp[:-1], digest, "127.0.0.1"),
        accounts.authenticate_apop(login, timestamp, digest[:-1] + b"x", "127.0.0.1"),
        accounts.authenticate_apop(login, timestamp, b"", "127.0.0.1"),
    ):
        with pytest.raises(BadCredentials):
            await wrong
    await accounts.set_apop_secret(account.account_id, None)
    with pytest.raises(BadCredentials):
        await accounts.authenticate_apop(login, timestamp, digest, "127.0.0.1")


async def test_an_apop_secret_is_no_password_and_a_password_no_apop_secret(subject: Subject) -> None:
    """Each opens its own command only, and changing one leaves the other."""
    account = await subject.account()
    accounts = subject.store.accounts
    await accounts.set_apop_secret(account.account_id, b"tanstaaf")
    await accounts.set_password(account.account_id, b"password")
    with pytest.raises(BadCredentials):
        await accounts.authenticate(account.address, b"tanstaaf", "127.0.0.1")
    digest = hashlib.md5(b"<a@b>password").digest()
    with pytest.raises(BadCredentials):
        await accounts.authenticate_apop(account.address, b"<a@b>", digest, "127.0.0.1")
    digest = hashlib.md5(b"<a@b>tanstaaf").digest()
    await accounts.authenticate_apop(account.address, b"<a@b>", digest, "127.0.0.1")
    await accounts.set_enabled(account.account_id, False)
    with pytest.raises(AccountDisabled):
        await accounts.authenticate_apop(account.address, b"<a@b>", digest, "127.0.0.1")
    for secret in (b"", b"a\0b"):
        with pytest.raises(InvalidArgument):
            await accounts.set_apop_secret(account.account_id, secret)


async def test_an_unknown_login_is_a_wrong_password(subject: Subject) -> None:
    """The two are never told apart; what is no address is an unknown login."""
    await subject.account()
    nobody = uuid4().hex  # whose failures no other test has made
    for login in (f"{nobody}@{DOMAIN}", nobody, "", f"a@b@{nobody}", f"\0{nobody}", nobody + "x" * 5000):
        with pytest.raises(BadCredentials):
            await subject.store.accounts.authenticate(login, b"secret", "127.0.0.1")
        with pytest.raises(BadCredentials):
            await subject.store.accounts.authenticate_apop(login, b"<a@b>", bytes(16), "127.0.0.1")


async def test_a_closed_account_neither_logs_in_nor_takes_mail(subject: Subject) -> None:
    """And says so only to whoever knows its password."""
    account = await subject.account()
    accounts = subject.store.accounts
    await accounts.set_enabled(account.account_id, False)
    with pytest.raises(AccountDisabled):
        await accounts.authenticate(account.address, b"secret", "127.0.0.1")
    with pytest.raises(BadCredentials):
        await accounts.authenticate(account.address, b"wrong", "127.0.0.1")
    with pytest.raises(AccountDisabled):
        await accounts.resolve(account.address)
    assert not (await accounts.find_account(account.address)).is_enabled
    await accounts.set_enabled(account.account_id, True)
    assert (await accounts.authenticate(account.address, b"secret", "127.0.0.1")).is_enabled
    await accounts.resolve(account.address)


async def test_a_letter_goes_to_the_inbox_of_whoever_has_the_address(subject: Subject) -> None:
    """RFC 5321 §3.6.2, and RFC 5233 §1 for what follows a plus."""
    account = await subject.account()
    inbox = (await subject.store.mailboxes.status(account.account_id, "INBOX"))[0].key
    local = account.address.partition("@")[0]
    for address in (account.address, account.address.upper(), f"{local}+list@{DOMAIN}"):
        (found,) = await subject.store.accounts.resolve(address, 10)
        assert (found.account_id, found.mailbox_id) == inbox
        assert found.address == account.address
    for address in (f"nobody@{DOMAIN}", f"{local}@elsewhere.test", f"+{local}@{DOMAIN}"):
        with pytest.raises(RecipientUnknown):
            await subject.store.accounts.resolve(address)
    with pytest.raises(RecipientUnknown) as unknown:
        await subject.store.accounts.resolve(f"nobody@{DOMAIN}")
    assert not isinstance(unknown.value, RelayRefused)
    with pytest.raises(RelayRefused):
        await subject.store.accounts.resolve(f"{local}@elsewhere.test")
    for address in ("", "nobody", f"a b@{DOMAIN}", f"a@b@{DOMAIN}"):
        with pytest.raises(InvalidAddress):
            await subject.store.accounts.resolve(address)


async def test_a_domain_goes_once_it_has_no_addresses(subject: Subject) -> None:
    """Accounts, aliases and a catch-all keep it."""
    name = f"{uuid4().hex}.test"
    store, add = subject.store, subject.store.aliases.add
    await store.accounts.add_domain(name)
    account = await store.accounts.add_account(f"a@{name}", b"x")
    with pytest.raises(DomainInUse):
        await store.accounts.remove_domain(name.upper())
    other = await subject.account()
    for alias in (f"b@{name}", f"@{name}"):
        await add(alias, [other.address])
    await store.accounts.remove_account(account.account_id)
    await store.aliases.remove(f"b@{name}")
    with pytest.raises(DomainInUse):
        await store.accounts.remove_domain(name)
    await store.aliases.remove(f"@{name}")
    await store.accounts.remove_domain(name)
    assert name not in await store.accounts.list_domains()
    with pytest.raises(DomainUnknown):
        await store.accounts.remove_domain(name)
    with pytest.raises(DomainUnknown):
        await store.accounts.add_account(f"a@{name}", b"x")
    with pytest.raises(InvalidAddress):
        await store.accounts.remove_domain("a b")


async def test_a_removed_account_is_nobody_and_its_address_is_free(subject: Subject) -> None:
    """It neither logs in nor takes mail, holds nothing, and whoever follows it hears no more of it."""
    inbox = await subject.inbox()
    gone = subject.accounts[-1]
    accounts = subject.store.accounts
    await subject.append(inbox)
    watch = subject.store.changes.watch()
    await watch.add(gone.account_id)
    await accounts.remove_account(gone.account_id)
    for asked, refusal in (
        (accounts.find_account(gone.address), AccountUnknown),
        (accounts.usage(gone.account_id), AccountUnknown),
        (accounts.set_password(gone.account_id, b"x"), AccountUnknown),
        (accounts.remove_account(gone.account_id), AccountUnknown),
        (accounts.authenticate(gone.address, b"secret", "127.0.0.1"), BadCredentials),
        (accounts.resolve(gone.address), RecipientUnknown),
        (subject.store.mailboxes.status(gone.account_id, "INBOX"), (AccountUnknown, MailboxNotFound)),
        (subject.store.deliveries.deliver(letter(inbox)), MailboxNotFound),
        (subject.append(inbox), MailboxNotFound),
    ):
        with pytest.raises(refusal):
            await asked
    again = await accounts.add_account(gone.address, b"secret")
    assert again.account_id > gone.account_id
    assert (await accounts.usage(again.account_id)).messages == 0
    await watch.add(again.account_id)
    new_inbox = (await subject.store.mailboxes.status(again.account_id, "INBOX"))[0].key
    await subject.append(new_inbox)
    assert (await anext(aiter(watch))).account_id == again.account_id
    await watch.close()


async def test_the_sessions_of_a_removed_account_are_asked_to_end(subject: Subject) -> None:
    """Also one that is told of only afterwards."""
    gone, other = await subject.account(), await subject.account()
    sessions, process = subject.store.sessions, Process(uuid4(), "imap", "here")
    before, after, stays = (
        Session(uuid4(), account.account_id, "imap", "192.0.2.1", 1) for account in (gone, gone, other)
    )
    assert not await sessions.beat(process, [before, stays], [])
    await subject.store.accounts.remove_account(gone.account_id)
    assert set(await sessions.beat(process, [], [])) == {before.session_id}
    assert set(await sessions.beat(process, [after], [])) == {before.session_id, after.session_id}


async def test_postmaster_reaches_somebody(subject: Subject) -> None:
    """RFC 5321 §4.5.1: at our domains and without one; not at others."""
    await subject.account()
    for address in ("postmaster", "PostMaster", f"postmaster@{DOMAIN}"):
        await subject.store.accounts.resolve(address)
    with pytest.raises(RecipientUnknown):
        await subject.store.accounts.resolve("postmaster@elsewhere.test")


async def test_a_full_account_says_so_before_the_letter_comes(subject: Subject) -> None:
    """RFC 5321 §4.2.2: 452 at RCPT, by the size that was announced."""
    inbox = await subject.inbox(Quota(bytes=10, messages=2))
    address = subject.accounts[-1].address
    resolve = subject.store.accounts.resolve
    await resolve(address, 10)
    with pytest.raises(OverQuota):
        await resolve(address, 11)
    await subject.append(inbox, octets=b"1234567890")
    await resolve(address, 0)
    with pytest.raises(OverQuota):
        await resolve(address, 1)
    await subject.append(inbox, octets=b"")
    with pytest.raises(OverQuota):
        await resolve(address, 0)


async def test_a_quota_may_be_set_below_what_is_held(subject: Subject) -> None:
    """Mail above it stays."""
    inbox = await subject.inbox()
    await subject.append(inbox, octets=b"12345")
    await subject.store.accounts.set_quota(inbox.account_id, Quota(bytes=3, messages=9))
    usage = await subject.store.accounts.usage(inbox.account_id)
    assert (usage.bytes, usage.messages, usage.quota) == (5, 1, Quota(3, 9))
    with pytest.raises(OverQuota):
        await subject.store.deliveries.deliver(letter(inbox, body=b""))
    assert await subject.live(inbox) == [1]


async def test_accounts_are_listed_page_by_page(subject: Subject) -> None:
    """In the order of their addresses, none twice, none left out, each with what it holds."""
    made = {(await subject.account()).address for _ in range(5)}
    await subject.append(await subject.inbox(), octets=b"12345")
    holder = subject.accounts[-1].address
    for page_size in (2, 1000):
        found: list[str] = []
        usages: list[tuple[int, int]] = []
        token = ""
        while True:
            page = await subject.store.accounts.list_accounts(page_size, token)
            assert len(page.accounts) <= page_size
            found += [account.address for account in page.accounts]
            usages += [(usage.bytes, usage.messages) for usage in page.usages]
            token = page.next_page_token
            if not token:
                break
        assert found == sorted(set(found))
        assert made <= set(found)
        assert dict(zip(found, usages, strict=True))[holder] == (5, 1)


async def test_an_account_that_is_not_there_is_named(subject: Subject) -> None:
    """AccountUnknown, whatever is asked."""
    accounts = subject.store.accounts
    for asked in (
        accounts.set_password(NOWHERE, b"x"),
        accounts.set_apop_secret(NOWHERE, b"x"),
        accounts.set_apop_secret(NOWHERE, None),
        accounts.set_quota(NOWHERE, Quota()),
        accounts.set_enabled(NOWHERE, True),
        accounts.usage(NOWHERE),
    ):
        with pytest.raises(AccountUnknown):
            await asked
