"""The table of endpoints: path, what goes in, what comes out, and who answers.

To add one: its request in `requests`, its reply in `replies`, a method in `desk`, and a line here.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from serving.access.desk import TokenReply, TokenRequest, make_token
from serving.access.scopes import AUDITED, Scope
from serving.api.people import asker, doers, listed_users
from serving.api.replies import BatchReply, EventsReply, ItemsReply, ListReply, Stamped
from serving.api.requests import (
    Asked,
    BatchRequest,
    EventsRequest,
    RankRequest,
    RecommendRequest,
    SimilarRequest,
)
from serving.bulk.desk import recommend_batch
from serving.desk.desk import Desk
from serving.items.desk import change_items
from serving.items.requests import ItemsRequest
from serving.person.consent import ConsentReply, ConsentRequest, consent
from serving.person.explain import ExplainReply, ExplainRequest, explain
from serving.person.link import LinkReply, LinkRequest, link
from serving.person.preferences import PreferencesReply, PreferencesRequest, preferences
from serving.person.privacy import (
    ArchiveReply,
    EraseReply,
    EraseRequest,
    ExportRequest,
    VerifyReply,
    VerifyRequest,
    erase,
    export,
    verify_erasure,
)
from serving.person.profile import CorrectReply, CorrectRequest, ProfileReply, ProfileRequest, correct, profile
from serving.person.users import UsersReply, UsersRequest, change_users, changed_users
from serving.state.audit_log import Ids


class Endpoint(NamedTuple):
    """One route that takes and gives JSON."""

    path: str
    scope: Scope
    """What a key must be good for. Calls of scope `person` and `admin` are audited, so their lane is `writes`."""
    request: type[Asked]
    reply: type[Stamped]
    answer: Callable[..., Any]
    """Takes a desk, a request and the request's id; when `budgeted`, also its deadline. Gives the reply or, when
    `streamed`, one after the other the entries of the list that is its last field."""
    budgeted: bool = False
    """Whether the answer can leave something out when time is short."""
    lane: Literal["reads", "writes", "batch"] = "reads"
    """Where it waits and runs: what writes waits for the store's one writer, and must hold up nobody else; nor must
    what is long."""
    streamed: bool = False
    """Whether it is sent as it is made, so that nobody holds all of it."""
    people: Callable[[Any], Sequence[Ids]] = asker
    """Whom a request is about."""
    by_token: bool = False
    """Whether a person's own token opens it too, for requests that are about nobody else."""

    @property
    def media_type(self) -> str:
        """What the answer is sent as."""
        return "application/zip" if self.reply is ArchiveReply else "application/json"

    @property
    def name(self) -> str:
        """The path's words after the version: `recommend`, `privacy_erase`."""
        return "_".join(self.path.split("/")[2:])

    @property
    def audited(self) -> bool:
        """Whether each call stands in the audit log."""
        return self.scope in AUDITED

    def ask(self, desk: Desk, request: Any, request_id: str, until: float) -> Any:
        """What `answer` gives for a checked request."""
        return self.answer(desk, request, request_id, *((until,) if self.budgeted else ()))


ENDPOINTS = (
    Endpoint("/v1/recommend", "recommend", RecommendRequest, ListReply, Desk.recommend, budgeted=True, by_token=True),
    Endpoint(
        "/v1/recommend/batch",
        "recommend",
        BatchRequest,
        BatchReply,
        recommend_batch,
        budgeted=True,
        lane="batch",
        streamed=True,
        people=listed_users,
    ),
    Endpoint("/v1/rank", "recommend", RankRequest, ListReply, Desk.rank, budgeted=True, by_token=True),
    Endpoint("/v1/explain", "recommend", ExplainRequest, ExplainReply, explain, by_token=True),
    Endpoint("/v1/similar", "recommend", SimilarRequest, ListReply, Desk.similar, by_token=True),
    Endpoint(
        "/v1/events", "events", EventsRequest, EventsReply, Desk.events, lane="writes", people=doers, by_token=True
    ),
    Endpoint("/v1/users/link", "person", LinkRequest, LinkReply, link, lane="writes"),
    Endpoint("/v1/items", "catalogue", ItemsRequest, ItemsReply, change_items, lane="writes"),
    Endpoint("/v1/users", "person", UsersRequest, UsersReply, change_users, lane="writes", people=changed_users),
    Endpoint("/v1/profile", "person", ProfileRequest, ProfileReply, profile, lane="writes", by_token=True),
    Endpoint("/v1/profile/correct", "person", CorrectRequest, CorrectReply, correct, lane="writes", by_token=True),
    Endpoint("/v1/consent", "person", ConsentRequest, ConsentReply, consent, lane="writes", by_token=True),
    Endpoint(
        "/v1/preferences",
        "person",
        PreferencesRequest,
        PreferencesReply,
        preferences,
        lane="writes",
        by_token=True,
    ),
    Endpoint("/v1/tokens", "person", TokenRequest, TokenReply, make_token, lane="writes"),
    Endpoint("/v1/privacy/export", "person", ExportRequest, ArchiveReply, export, lane="writes", by_token=True),
    Endpoint("/v1/privacy/erase", "person", EraseRequest, EraseReply, erase, lane="writes", by_token=True),
    Endpoint("/v1/privacy/verify", "person", VerifyRequest, VerifyReply, verify_erasure, lane="writes", by_token=True),
)
