"""The `dataset` section of a configuration: which tables, which columns, and what each of them means.

These classes only describe; `features.tables` reads what they name, `features.schema` learns encoders from it.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from features.consent import Purpose
from features.pseudonyms import PseudonymsConfig
from features.strict import StrictConfig

Role = Literal["categorical", "multi_categorical", "numeric", "text", "time", "birth_date"]
Sign = Literal["positive", "negative", "exposure"]
TimeRead = Literal["order", "gaps", "clock"]


class FormatConfig(StrictConfig):
    """How a delimited text file is written, when it is not plain CSV with a header."""

    separator: str = ","
    """Text between two fields, of one or more characters."""
    encoding: str = "utf-8"
    """Name of the text encoding."""
    columns: tuple[str, ...] | None = None
    """Column names of a file without a header row."""


class TableConfig(StrictConfig):
    """Where one table lies."""

    path: str | None = None
    """CSV or Parquet file, or a glob of them; relative to the folder of the config file, else to the working one."""
    format: FormatConfig = FormatConfig()
    """Only for delimited text that is not plain CSV."""


class OrderConfig(StrictConfig):
    """What puts a user's events in order: a time, a mere sequence number, or a time with a sequence for ties."""

    time: str | None = None
    """Column with the time of the event: RFC 3339 text, timestamps, or integer seconds since the epoch, UTC."""
    sequence: str | None = None
    """Column with an integer that grows along each user's events."""
    models_read: TimeRead = "clock"
    """How much of a time models and sources see: order: nothing but the order; gaps: also the time between moments;
    clock: also hour and weekday. Slices, `after_days` and availability always go by time."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.time is None and self.sequence is None:
            raise ValueError("name the column that orders events: `time:` or `sequence:`")
        return self


class ColumnConfig(StrictConfig):
    """One attribute of a user, an item, or an event's context."""

    role: Role
    """How the values are encoded."""
    static: bool = False
    """True when the value never changes; otherwise `time` names when each value began to hold."""
    time: str | None = None
    """Column with the moment from which the value holds; the value is joined as of the moment of a request."""
    path: str | None = None
    """Another table that holds this changing attribute: the id column, this column, and its time column."""
    protected: bool = False
    """True for attributes such as gender or age by which fairness is reported."""
    separator: str | None = None
    """Splits the text of a multi_categorical value, for example `|`."""

    @property
    def changes(self) -> bool:
        """Whether the value depends on the moment: it is joined as of a time, or is an age."""
        return self.time is not None or self.role == "birth_date"


class AttributeColumn(ColumnConfig):
    """An attribute of a user or item: static, or changing with a time column."""

    @model_validator(mode="after")
    def _static_or_changing(self) -> Self:
        if self.static == (self.time is not None):
            raise ValueError("declare either `static: true`, or `time:` with the column from which a value holds")
        return self


class EventsConfig(TableConfig):
    """The table of events: who did what with which item, in which order."""

    user: str = "user_id"
    """Column with the user id."""
    item: str = "item_id"
    """Column with the item id."""
    type: str | None = None
    """Column with the event type; without it the one key under `types` is the type of every event."""
    id: str | None = None
    """Column with the event id; without it an id is derived from user, item, type, order and ordinal."""
    value: str | None = None
    """Column with a number such as a rating, seconds played, or an amount."""
    session: str | None = None
    """Column with the session id."""
    dwell: str | None = None
    """Column with the seconds that the item was looked at."""
    price: str | None = None
    """Column with what one piece cost."""
    quantity: str | None = None
    """Column with the number of pieces."""
    position: str | None = None
    """Column with the slot of the list in which the item stood, from 1."""
    request: str | None = None
    """Column with the `request_id` of the answer that led to the event."""
    context: dict[str, ColumnConfig] = {}
    """Columns that describe the circumstances of an event, such as the device."""


class AfterDays(StrictConfig):
    """The item may come again once some days have passed."""

    after_days: float = Field(gt=0)
    """Days, counted from the person's newest event of this type with the item."""


class TypeConfig(StrictConfig):
    """What one event type means."""

    weight: float = Field(default=1.0, ge=0)
    """How much one such event counts in the order of an answer."""
    sign: Sign = "positive"
    """positive: wanted; negative: dislike, skip, return, cancellation; exposure: only shown."""
    repeat: Literal["always", "never"] | AfterDays = "never"
    """Whether the item may be recommended again after such an event."""


class UserColumn(AttributeColumn):
    """An attribute of a user."""

    demographic: bool | None = None
    """Whether it is read only of people who share demographics; by default what is `protected`, and birth dates."""


class UsersConfig(TableConfig):
    """The table of users."""

    id: str = "user_id"
    """Column with the user id."""
    columns: dict[str, UserColumn] = {}
    """The attributes that the model may see."""

    @property
    def demographics(self) -> frozenset[str]:
        """The attributes that are read only of people who share demographics."""
        return frozenset(
            name
            for name, column in self.columns.items()
            if (column.protected or column.role == "birth_date" if column.demographic is None else column.demographic)
        )


class AvailableConfig(StrictConfig):
    """From when to when an item may be shown."""

    from_: str | None = Field(default=None, alias="from")
    """Column with the first moment."""
    to: str | None = None
    """Column with the last moment."""


class ItemsConfig(TableConfig):
    """The table of items."""

    id: str = "item_id"
    """Column with the item id."""
    title: str | None = None
    """Column with the name that people read."""
    columns: dict[str, AttributeColumn] = {}
    """The attributes that the model may see."""
    available: AvailableConfig = AvailableConfig()
    """When an item may be shown; always, if not given."""


class ConsentTable(TableConfig):
    """The table of what people answered: a row per person, or several with times."""

    id: str = "user_id"
    """Column with the user id."""
    columns: dict[str, str] = Field(min_length=1)
    """By purpose the column with the answers: granted, true, yes or 1; denied, false, no or 0; empty for silence."""
    time: str | None = None
    """Column with the time of the answer; of a person's rows the newest with an answer holds."""
    source: str | None = None
    """Column that says who asked or answered."""


class ConsentConfig(StrictConfig):
    """What the people of these tables agreed to; of live people `serving.consent` says what silence means."""

    table: ConsentTable | None = None
    """The table of their answers."""
    assume: Literal["granted"] | None = None
    """Takes those who are silent, or everybody without a table, as having agreed; otherwise they have not."""
    basis: str | None = Field(default=None, min_length=1)
    """Why the assumption is lawful, in words; it is kept with each person as the source of their answer."""
    purposes: tuple[str, ...] = (Purpose.PERSONALIZE, Purpose.TRAIN, Purpose.MEASURE, Purpose.SHARE_DEMOGRAPHICS)
    """To which purposes agreement is assumed."""
    further: tuple[str, ...] = ()
    """Purposes of your own that `columns` and `purposes` may name."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.table is None and self.assume is None:
            raise ValueError("name the `table` of people's answers, or what to `assume` with its `basis`")
        if (self.assume is None) != (self.basis is None):
            raise ValueError("`assume` and `basis` belong together: why may agreement be assumed?")
        known = {*Purpose, *self.further}
        for key, names in (("table.columns", self.table.columns if self.table else ()), ("purposes", self.purposes)):
            strange = [name for name in names if name not in known]
            if strange:
                raise ValueError(f"{key}: {strange[0]!r} is no purpose; the purposes are {', '.join(sorted(known))}")
        return self


class DatasetConfig(StrictConfig):
    """Tables, columns and roles of one company's data."""

    order: OrderConfig
    """What puts a user's events in order."""
    events: EventsConfig
    """The table of events."""
    types: dict[str, TypeConfig] = Field(min_length=1)
    """Every event type by name."""
    users: UsersConfig = UsersConfig()
    """The table of users; may be left out."""
    items: ItemsConfig = ItemsConfig()
    """The table of items; may be left out."""
    served: TableConfig | None = None
    """The log of what was served, in the files that `tailorbird export-log` writes: what was shown is then ranked in
    training as of the moment of the answer, with what the answer knew."""
    erased: str | None = None
    """File with the marks of erased people, whose rows no reader of the tables gets to see. A service that is given
    this configuration keeps it up to date; `tailorbird privacy tombstones` writes it. A file `_erased.json` beside a
    table, or in one of the three folders above, is found without being named."""
    consent: ConsentConfig | None = None
    """What the people of these tables agreed to; without it nobody's data is used."""
    pseudonyms: PseudonymsConfig | None = Field(default=None, exclude_if=lambda one: one is None)
    """Ids of people in these tables become pseudonyms as they are read, by the key of the store whose exported logs
    they shall join."""

    @property
    def timed(self) -> bool:
        """Whether events carry a time, not a mere order."""
        return self.order.time is not None

    @property
    def exposures(self) -> tuple[str, ...]:
        """The event types that nobody did: what was only shown."""
        return tuple(name for name, kind in self.types.items() if kind.sign == "exposure")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.events.type is None and len(self.types) != 1:
            raise ValueError("without `events.type`, `types` must hold exactly one key: the type of every event")
        if not any(kind.sign == "positive" for kind in self.types.values()):
            raise ValueError("at least one type must have `sign: positive`; there is nothing to learn otherwise")
        waits = [name for name, kind in self.types.items() if isinstance(kind.repeat, AfterDays)]
        if waits and not self.timed:
            raise ValueError(f"types.{waits[0]}.repeat: after_days needs `order.time`; a sequence has no days")
        timed = [] if self.timed else self._keys_of_time()
        if timed:
            raise ValueError(f"{timed[0]}: needs `order.time`; a sequence number cannot be compared with a time")
        return self

    def _keys_of_time(self) -> list[str]:
        """Dotted keys under which something depends on the time of a request."""
        columns = {
            **{f"users.columns.{name}": column for name, column in self.users.columns.items()},
            **{f"items.columns.{name}": column for name, column in self.items.columns.items()},
            **{f"events.context.{name}": column for name, column in self.events.context.items()},
        }
        available = self.items.available.model_dump(by_alias=True, exclude_none=True)
        return [
            *(f"{key}.time" for key, column in columns.items() if column.time is not None),
            *(f"{key}.role" for key, column in columns.items() if column.role == "birth_date"),
            *(f"items.available.{name}" for name in available),
        ]
