"""The company's side of what is known of people: attributes of many users at once, by column of the user table."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from features.dataset import DatasetConfig, Role
from features.errors import RequestError, TailorbirdError
from serving.api.columns import check_columns
from serving.api.problems import id_in, in_words, of_validation
from serving.api.replies import Reply, Stamped
from serving.api.requests import MAX_USERS, Asked, Id, each_for_itself
from serving.desk.desk import Desk
from serving.desk.permission import describing
from serving.state.audit_log import Ids
from serving.state.protocol import UserAttributes


class PostedUser(Asked):
    """What shall be known of one user from now on."""

    user_id: Id
    """The user, new or known."""
    attributes: Annotated[dict[str, Any], Field(min_length=1)]
    """Values by column of the user table. Null removes what is known, with all that it was before; a column that is
    left out stays as it is. A value of a changing column holds from now on."""


class UsersRequest(Asked):
    """Attributes of users. Each record is checked for itself, so that a bad one does not hold up the others."""

    users: Annotated[list[Any], Field(min_length=1, max_length=MAX_USERS), each_for_itself("PostedUser", MAX_USERS)]


class UserChangeReply(Reply, frozen=True, kw_only=True):
    """What became of one record."""

    user_id: str | None = None
    """Left out when the record has none that can be read."""
    status: Literal["stored", "not_stored", "rejected"]
    """not_stored: the user allows none of what was given to be kept; what was to be removed is."""
    not_stored: list[str] | None = None
    """Columns that were left out because the user does not allow them to be kept."""
    field: str | None = None
    """The field for which the record was rejected."""
    message: str | None = None
    """Why it was rejected, and what to do."""


class UsersReply(Stamped, frozen=True, kw_only=True):
    """What became of each record, in the order of the request."""

    stored: int
    not_stored: int
    rejected: int
    results: list[UserChangeReply]


class UserEdit(NamedTuple):
    """A record that is right."""

    user_id: str
    lasting: dict[str, Any]
    """Values of columns that never change."""
    changing: dict[str, Any]
    removed: list[str]


class UserIntake:
    """Checks users for one data set."""

    def __init__(self, dataset: DatasetConfig) -> None:
        columns = dataset.users.columns
        self._roles: dict[str, Role] = {name: column.role for name, column in columns.items()}
        self._changing = {name for name, column in columns.items() if column.time is not None}

    def posted(self, content: Any) -> UserEdit | UserChangeReply:
        """What can be stored, or why it cannot."""
        try:
            record = PostedUser.model_validate(content)
            return self.edit(record.user_id, record.attributes)
        except ValidationError as error:
            problem: TailorbirdError = of_validation(error, PostedUser)
        except RequestError as error:
            problem = error
        return UserChangeReply(
            user_id=id_in(content, "user_id"), status="rejected", field=problem.field, message=in_words(problem)
        )

    def edit(self, user_id: str, attributes: dict[str, Any]) -> UserEdit:
        """Raises RequestError that names a column that is not there, or whose value is of another form."""
        check_columns(attributes, self._roles, "user")
        given = {name: value for name, value in attributes.items() if value is not None}
        return UserEdit(
            user_id,
            lasting={name: value for name, value in given.items() if name not in self._changing},
            changing={name: value for name, value in given.items() if name in self._changing},
            removed=[name for name, value in attributes.items() if value is None],
        )


def change_users(desk: Desk, request: UsersRequest, request_id: str) -> UsersReply:
    """Store or remove attributes of each user whose record is right; the very next answer goes by them."""
    intake = UserIntake(desk.schema.dataset)
    checked = [intake.posted(content) for content in request.users]
    edits = [one for one in checked if isinstance(one, UserEdit)]
    refused = store_edits(desk, edits)
    results = [_result(one, refused) if isinstance(one, UserEdit) else one for one in checked]
    statuses = [one.status for one in results]
    return UsersReply(
        request_id=request_id,
        bundle=desk.bundle,
        stored=statuses.count("stored"),
        not_stored=statuses.count("not_stored"),
        rejected=statuses.count("rejected"),
        results=results,
    )


def _result(edit: UserEdit, refused: Mapping[str, frozenset[str]]) -> UserChangeReply:
    given = {*edit.lasting, *edit.changing}
    left_out = sorted(given & refused[edit.user_id])
    nothing = given and len(left_out) == len(given) and not edit.removed
    return UserChangeReply(
        user_id=edit.user_id, status="not_stored" if nothing else "stored", not_stored=left_out or None
    )


def store_edits(desk: Desk, edits: Sequence[UserEdit]) -> dict[str, frozenset[str]]:
    """Store what was checked and is allowed; by user the columns that they do not allow to be kept.

    Of several records of one user the last counts, column by column. What may be kept is decided in the transaction
    that keeps it; what is answered, just before.
    """
    now, joined = desk.clock(), _joined(edits)
    for demographic in (False, True):
        lasting = [UserAttributes(one.user_id, _of_kind(desk, one.lasting, demographic)) for one in joined]
        changing = [UserAttributes(one.user_id, _of_kind(desk, one.changing, demographic), now) for one in joined]
        if some := [one for one in (*lasting, *changing) if one.values]:
            desk.state.set_attributes(some, describing(desk.consent, now, demographic=demographic))
    for one in joined:
        if one.removed:
            desk.state.remove_attributes(one.user_id, one.removed)
    return {one.user_id: _refused(desk, one, now) for one in joined}


def _of_kind(desk: Desk, values: Mapping[str, Any], demographic: bool) -> dict[str, Any]:
    return {name: value for name, value in values.items() if (name in desk.demographics) == demographic}


def _refused(desk: Desk, edit: UserEdit, now: int) -> frozenset[str]:
    """The columns of an edit that its user does not allow to be kept."""
    given = {*edit.lasting, *edit.changing}
    if not given:
        return frozenset()
    said = desk.state.statements(edit.user_id)
    admitted = {kind: describing(desk.consent, now, demographic=kind)(said) for kind in (False, True)}
    return frozenset(name for name in given if not admitted[name in desk.demographics])


def _joined(edits: Sequence[UserEdit]) -> list[UserEdit]:
    """One edit of each user."""
    joined: dict[str, UserEdit] = {}
    for edit in edits:
        before = joined.get(edit.user_id, UserEdit(edit.user_id, {}, {}, []))
        lasting, changing = {**before.lasting, **edit.lasting}, {**before.changing, **edit.changing}
        joined[edit.user_id] = UserEdit(
            edit.user_id,
            {name: value for name, value in lasting.items() if name not in edit.removed},
            {name: value for name, value in changing.items() if name not in edit.removed},
            [*(name for name in before.removed if name not in (*edit.lasting, *edit.changing)), *edit.removed],
        )
    return list(joined.values())


def changed_users(request: UsersRequest) -> Sequence[Ids]:
    """Whose attributes a request is about, as far as it can be read."""
    given = [one.get("user_id") for one in request.users if isinstance(one, dict)]
    return [(user_id, None) for user_id in dict.fromkeys(one for one in given if isinstance(one, str))]
