"""Logins without a password on the wire."""

import base64
import time
from uuid import uuid4

import pytest

from services.mail.errors import (
    AccountDisabled,
    AccountUnknown,
    BadCredentials,
    InvalidArgument,
    LimitExceeded,
)
from services.mail.store.accounts import NO_SCOPE, Scope
from services.mail.store.credentials import MOST_APP_PASSWORDS
from tests.contract.subject import DOMAIN, Subject
from tests.fakes.scram import prove


async def test_a_proof_lets_in_and_is_answered(subject: Subject) -> None:
    """Both ends know the password, in whatever case the login is written. RFC 5802 §3."""
    account = await subject.account()
    for login in (account.address, account.address.upper()):
        client, proved = await prove(subject.store, login, b"secret")
        assert proved.account == account
        assert client.is_answered(b"v=" + base64.b64encode(proved.signature))
    nobody = uuid4().hex  # whose failures no other test has made
    for login in (account.address, f"{nobody}@{DOMAIN}", nobody):
        with pytest.raises(BadCredentials):
            await prove(subject.store, login, b"wrong")


@pytest.mark.parametrize("password", [b"\xff\xfe", "pässwörd".encode(), b"x" * 1000])
async def test_a_new_password_makes_new_keys(subject: Subject, password: bytes) -> None:
    """The old proof is worth nothing from then on."""
    account = await subject.account()
    await subject.store.accounts.set_password(account.account_id, password)
    _, proved = await prove(subject.store, account.address, password)
    assert proved.account == account
    with pytest.raises(BadCredentials):
        await prove(subject.store, account.address, b"secret")


async def test_every_login_has_a_salt_that_stays(subject: Subject) -> None:
    """So that it tells nobody whether the login exists, nor whether its password was changed."""
    account = await subject.account()
    logins = [account.address, f"nobody@{DOMAIN}", "nobody"]
    before = [await subject.store.credentials.find_salt(login) for login in logins]
    await subject.store.accounts.set_password(account.account_id, b"another")
    assert [await subject.store.credentials.find_salt(login) for login in logins] == before
    assert len({each.salt for each in before}) == len(logins)
    assert len({(len(each.salt), each.iterations) for each in before}) == 1
    assert await subject.store.credentials.find_salt(account.address.upper()) == before[0]


async def test_a_closed_account_is_closed_to_proofs(subject: Subject) -> None:
    """And says so only to whoever knows its password."""
    account = await subject.account()
    await subject.store.accounts.set_enabled(account.account_id, False)
    with pytest.raises(AccountDisabled):
        await prove(subject.store, account.address, b"secret")
    with pytest.raises(BadCredentials):
        await prove(subject.store, account.address, b"wrong")


async def test_an_app_password_lets_in_where_it_is_for(subject: Subject) -> None:
    """By password and by proof; elsewhere it is a wrong password, and the account's own is right everywhere."""
    account = await subject.account()
    made = await subject.store.credentials.add_app_password(
        account.account_id, "phone", Scope.IMAP | Scope.SMTP
    )
    password = made.password.encode()
    login = subject.store.accounts.authenticate
    for scope in (Scope.IMAP, Scope.SMTP):
        assert await login(account.address, password, "127.0.0.1", scope) == account
        client, proved = await prove(subject.store, account.address, password, scope)
        assert proved.account == account
        assert client.is_answered(b"v=" + base64.b64encode(proved.signature))
    for scope in (Scope.POP3, NO_SCOPE):
        with pytest.raises(BadCredentials):
            await login(account.address, password, "127.0.0.1", scope)
        with pytest.raises(BadCredentials):
            await prove(subject.store, account.address, password, scope)
        assert await login(account.address, b"secret", "127.0.0.1") == account  # forgives what failed
    for scope in (*Scope, NO_SCOPE):
        assert await login(account.address, b"secret", "127.0.0.1", scope) == account
        assert (await prove(subject.store, account.address, b"secret", scope))[1].account == account


async def test_an_app_password_is_the_account_s_own(subject: Subject) -> None:
    """Nobody else comes in by it."""
    mine, other = await subject.account(), await subject.account()
    made = await subject.store.credentials.add_app_password(mine.account_id, "phone", Scope.IMAP)
    with pytest.raises(BadCredentials):
        await subject.store.accounts.authenticate(
            other.address, made.password.encode(), "127.0.0.1", Scope.IMAP
        )


async def test_an_app_password_ends(subject: Subject) -> None:
    """When its time is over, or when it is removed; another one stays."""
    account = await subject.account()
    credentials, login = subject.store.credentials, subject.store.accounts.authenticate
    now = int(time.time())
    over = await credentials.add_app_password(account.account_id, "over", Scope.IMAP, now - 1)
    lasting = await credentials.add_app_password(account.account_id, "lasting", Scope.IMAP, now + 3600)
    gone = await credentials.add_app_password(account.account_id, "gone", Scope.IMAP)
    await login(account.address, gone.password.encode(), "127.0.0.1", Scope.IMAP)
    assert await credentials.remove_app_password(account.account_id, gone.entry.number)
    assert not await credentials.remove_app_password(account.account_id, gone.entry.number)
    for made in (over, gone):
        with pytest.raises(BadCredentials):
            await login(account.address, made.password.encode(), "127.0.0.1", Scope.IMAP)
        with pytest.raises(BadCredentials):
            await prove(subject.store, account.address, made.password.encode(), Scope.IMAP)
        await login(account.address, b"secret", "127.0.0.1")  # forgives what failed
    await login(account.address, lasting.password.encode(), "127.0.0.1", Scope.IMAP)
    found = await credentials.list_app_passwords(account.account_id)
    assert [(each.label, each.scopes, each.expires_at) for each in found] == [
        ("over", Scope.IMAP, now - 1),
        ("lasting", Scope.IMAP, now + 3600),
    ]
    assert all(abs(each.created_at - now) < 60 for each in found)


async def test_app_passwords_that_cannot_be_are_refused(subject: Subject) -> None:
    """Label, scope, time and account."""
    account = await subject.account()
    add = subject.store.credentials.add_app_password
    for label in ("", "x" * 101, "a\0b", "a\nb", "\ud800"):
        with pytest.raises(InvalidArgument):
            await add(account.account_id, label, Scope.IMAP)
    with pytest.raises(InvalidArgument):
        await add(account.account_id, "phone", NO_SCOPE)
    with pytest.raises(InvalidArgument):
        await add(account.account_id, "phone", Scope.IMAP, -1)
    for asked in (add(2**40, "phone", Scope.IMAP), subject.store.credentials.list_app_passwords(2**40)):
        with pytest.raises(AccountUnknown):
            await asked
    assert not await subject.store.credentials.remove_app_password(2**40, 1)
    assert await subject.store.credentials.list_app_passwords(account.account_id) == []


async def test_an_account_has_so_many_app_passwords(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them is looked at with every login."""
    for module in ("services.storage.credentials.store", "tests.fakes.memory.credentials"):
        monkeypatch.setattr(f"{module}.MOST_APP_PASSWORDS", 3)
    assert MOST_APP_PASSWORDS > 3
    account = await subject.account()
    add = subject.store.credentials.add_app_password
    made = [await add(account.account_id, "phone", Scope.IMAP) for _ in range(3)]
    assert len({each.entry.number for each in made}) == len({each.password for each in made}) == 3
    with pytest.raises(LimitExceeded):
        await add(account.account_id, "phone", Scope.IMAP)


async def test_a_closed_account_is_closed_to_app_passwords(subject: Subject) -> None:
    """And opens to them again."""
    account = await subject.account()
    made = await subject.store.credentials.add_app_password(account.account_id, "phone", Scope.IMAP)
    for is_enabled in (False, True):
        await subject.store.accounts.set_enabled(account.account_id, is_enabled)
        login = subject.store.accounts.authenticate(
            account.address, made.password.encode(), "127.0.0.1", Scope.IMAP
        )
        if is_enabled:
            await login
        else:
            with pytest.raises(AccountDisabled):
                await login


async def test_a_token_that_nobody_issued_is_refused(subject: Subject) -> None:
    """Like a wrong password, whoever is named."""
    account = await subject.account()
    for login in (account.address, "", f"nobody@{DOMAIN}", "\ud800"):
        with pytest.raises(BadCredentials):
            await subject.store.credentials.authenticate_token(login, "a.b.c", "127.0.0.1")


async def test_nobody_acts_for_somebody_else(subject: Subject) -> None:
    """Without a setting; oneself may be named, in any case. RFC 4616 §2, RFC 5802 §5.1."""
    mine, other = await subject.account(), await subject.account()
    login = subject.store.accounts.authenticate
    assert await login(mine.address, b"secret", "", Scope.IMAP, mine.address.upper()) == mine
    for authorize in (other.address, f"nobody@{DOMAIN}", "nobody", "\ud800"):
        with pytest.raises(BadCredentials):
            await login(mine.address, b"secret", "", Scope.IMAP, authorize)
