"""Follows an account: prints each change of its mail, and goes on where it left, whatever was restarted meanwhile.

    .venv/bin/python examples/follow_changes.py alice@example.org position.txt

RESTANTE_STORAGE says where storage is (127.0.0.1:50051), RESTANTE_TOKEN_FILE where the token lies
(.restante/keys/token). The file holds a modseq that is dealt with; changes after it may come twice, none is left out.
"""

import os
import sys
import time
from pathlib import Path

import grpc
from restante.v1 import accounts_pb2, accounts_pb2_grpc, changes_pb2, changes_pb2_grpc

storage = os.environ.get("RESTANTE_STORAGE", "127.0.0.1:50051")
token_file = Path(os.environ.get("RESTANTE_TOKEN_FILE", ".restante/keys/token"))
address, position = sys.argv[1], Path(sys.argv[2])


def save(modseq: int) -> None:
    """Whole or not at all."""
    written = position.with_suffix(".new")
    written.write_text(str(modseq))
    written.replace(position)


def follow(channel: grpc.Channel) -> None:
    """Until the stream ends, or its copy of storage asks to go elsewhere."""
    shown = (("authorization", f"Bearer {token_file.read_text().strip()}"),)
    find = accounts_pb2.FindAccountRequest(address=address)
    found = accounts_pb2_grpc.AccountsServiceStub(channel).FindAccount(find, timeout=10, metadata=shown)
    since = last = int(position.read_text()) if position.exists() else None
    add = changes_pb2.WatchRequest.Add(account_id=found.account.account_id, since_modseq=since)
    asked = iter([changes_pb2.WatchRequest(add=add)])
    for event in changes_pb2_grpc.ChangesServiceStub(channel).Watch(asked, metadata=shown):
        if event.HasField("draining"):
            return
        if event.HasField("added"):
            save(event.added.since_modseq)
        if event.HasField("behind_floor"):
            print("the log starts later: read the mailboxes afresh", flush=True)
            save(last := event.behind_floor.modseq)
        for change in event.changes.changes:
            if last is not None and change.modseq > last:  # all of the one before has come
                save(last)
            last = change.modseq
            print(change.modseq, changes_pb2.ChangeKind.Name(change.kind), *change.uids.bounds, flush=True)


while True:
    try:
        with grpc.insecure_channel(storage) as channel:
            follow(channel)
    except grpc.RpcError as error:
        if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            sys.exit(f"{error.code().name}: {error.details()}")
    time.sleep(0.5)
