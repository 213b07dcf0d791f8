"""The person's right to leave and to take everything along: erase, verify, export."""

from typing import Any, Literal, Self

from pydantic import model_validator

from features.moments import to_text
from serving.api.replies import Reply, Stamped
from serving.api.requests import PersonRequest
from serving.desk.desk import Desk
from serving.person.archive import archive_of
from serving.person.erasing import remains, verify
from serving.state.erasures import Receipt


class NamedPerson(PersonRequest):
    """One person, by a user id, an anonymous id, or both at a login."""

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if self.user_id is None and self.anonymous_id is None:
            raise ValueError("give user_id, anonymous_id, or both at a login")
        return self


class EraseRequest(NamedPerson):
    """Remove everything that is known of this person."""


class VerifyRequest(NamedPerson):
    """Is anything left of this person, who was erased?"""


class ExportRequest(NamedPerson):
    """Everything that is held on this person."""


class PlaceReply(Reply, frozen=True, kw_only=True):
    """What was done, or found, in one place."""

    place: str
    status: Literal["clean", "rewritten", "found", "pending", "not_reached", "absent"]
    """clean: nothing of the person is there. rewritten: it was written anew without them. found: something is there.
    pending: yet to be done. not_reached: nobody can look there from here. absent: there is no such place on this
    machine."""
    count: int | None = None
    """Rows, files or places in files."""
    note: str | None = None


class RemainsReply(Reply, frozen=True, kw_only=True):
    """Something that an erasure leaves."""

    what: str
    why: str
    until: str
    """When it goes too."""


class ReceiptReply(Reply, frozen=True, kw_only=True):
    """The lasting record of one erasure; it holds no id."""

    receipt_id: str
    erased: str
    """Up to when nothing of the person is taken any more; what comes later is a new person."""
    status: Literal["pending", "finished"]
    """pending: the rows are gone; files are being looked through, which takes seconds."""
    removed: dict[str, int]
    """Rows of the store by kind."""
    places: list[PlaceReply]
    """What was done beside the store's rows."""


class EraseReply(Stamped, frozen=True, kw_only=True):
    """What was removed, and what remains."""

    receipt: ReceiptReply
    remains: list[RemainsReply]


class VerifyReply(Stamped, frozen=True, kw_only=True):
    """Whether an erasure holds."""

    clean: bool
    """Whether the store has nothing dated before the erasure, its mark refuses what is, and the search of files that
    followed it found nothing. `tailorbird privacy verify` searches all files anew."""
    places: list[PlaceReply]
    """What was looked through just now."""
    receipts: list[ReceiptReply]
    """Every erasure of this person, oldest first, with what was found then."""


class ArchiveReply(Stamped, frozen=True, kw_only=True):
    """A zip archive, sent as it is."""

    content: bytes
    """`README.txt`, and a JSON file for each kind of thing that is held."""


def erase(desk: Desk, request: EraseRequest, request_id: str) -> EraseReply:
    """Remove everything that is known of a person; nothing dated before this moment comes back."""
    erasure = desk.state.erase(request.user_id, request.anonymous_id, moment=desk.clock())
    receipt = Receipt(erasure.receipt_id, erasure.moment, erasure.removed, None)
    return EraseReply(
        request_id=request_id,
        bundle=desk.bundle,
        receipt=receipt_reply(receipt),
        remains=[RemainsReply(**one) for one in remains(desk.retraining, erasure.moment)],
    )


def verify_erasure(desk: Desk, request: VerifyRequest, request_id: str) -> VerifyReply:
    """Look for an erased person in the store, and tell what the search of files came to."""
    found = verify(desk.state, request.user_id, request.anonymous_id, None)
    receipts = [receipt_reply(one) for one in desk.state.receipts(request.user_id, request.anonymous_id)]
    files_clean = all(place.status not in ("found", "pending") for one in receipts[-1:] for place in one.places)
    return VerifyReply(
        request_id=request_id,
        bundle=desk.bundle,
        clean=found.clean and files_clean,
        places=[PlaceReply(**place.plain()) for place in found.places],
        receipts=receipts,
    )


def export(desk: Desk, request: ExportRequest, request_id: str) -> ArchiveReply:
    """Everything that is held on a person, in one zip archive of JSON files."""
    content = archive_of(desk.state, request.user_id, request.anonymous_id, desk.clock())
    return ArchiveReply(request_id=request_id, bundle=desk.bundle, content=content)


def receipt_reply(receipt: Receipt) -> ReceiptReply:
    """A receipt as JSON has it."""
    places = [_pending()] if receipt.report is None else [PlaceReply(**one) for one in receipt.report["places"]]
    return ReceiptReply(
        receipt_id=receipt.receipt_id,
        erased=to_text(receipt.moment),
        status="pending" if any(place.status == "pending" for place in places) else "finished",
        removed=dict(receipt.removed),
        places=places,
    )


def _pending() -> PlaceReply:
    note = "the store's files, exported logs and run folders are looked through now"
    return PlaceReply(place="files", status="pending", note=note)


def plain_receipt(receipt: Receipt) -> dict[str, Any]:
    """A receipt as plain data, for the command line."""
    return {
        "receipt_id": receipt.receipt_id,
        "erased": to_text(receipt.moment),
        "removed": dict(receipt.removed),
        "places": [] if receipt.report is None else receipt.report["places"],
    }
