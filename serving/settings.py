"""How the pipeline answers, which a bundle carries, and how the service runs, which a restart may change."""

from pathlib import Path

from pydantic import Field

from features.config import ConfigFile
from features.consent import OPT_IN, ConsentRules
from features.dataset import DatasetConfig
from features.person import RECENT_EVENTS
from features.pseudonyms import Pseudonyms, PseudonymsConfig, pseudonyms_of, pseudonyms_of_environment
from features.strict import StrictConfig, read_yaml
from serving.access.settings import AccessConfig
from serving.person.settings import PrivacyConfig, RetentionConfig
from serving.remote.settings import CacheConfig
from serving.retrieval.device import Device
from serving.telemetry.settings import LoggingConfig, TracingConfig


class SourceSizes(StrictConfig):
    """How many candidates each source may bring; 0 switches a source off."""

    nearest: int = Field(default=200, ge=0, le=2000)
    """Items nearest to the user vector."""
    transitions: int = Field(default=200, ge=0, le=2000)
    """Items that often follow the person's past."""
    popular: int = Field(default=50, ge=0, le=2000)
    """Items with most positive events."""
    trending: int = Field(default=50, ge=0, le=2000)
    """Items with most recent positive events; needs events with a time."""
    again: int = Field(default=50, ge=0, le=2000)
    """Items of the person's own past that may come again."""
    new: int = Field(default=20, ge=0, le=2000)
    """Items seen first at most `new_days` ago, nearest first; needs events with a time."""


class PipelineSettings(StrictConfig):
    """From person to answer."""

    max_events: int = Field(default=200, ge=1, le=RECENT_EVENTS)
    """Newest events of a person that the towers, the transitions and the ranker read."""
    sources: SourceSizes = SourceSizes()
    """Candidates by source."""
    new_days: float = Field(default=14.0, gt=0)
    """Days after its first event during which an item counts as new."""
    untaken_share: float = Field(default=0.1, ge=0, le=1)
    """Share of a list's places, rounded down, that are held for items which nobody had taken when the model was made:
    the last ones of the list and never its first ten, where such items do not stand higher by themselves; no
    larger share than they have of the candidates. 0 holds none."""


class ShadowConfig(StrictConfig):
    """How a shadow bundle, which answers nobody, is compared with the live one."""

    report: str | None = None
    """File to which each worker adds a line of JSON a minute; without it the log alone has them. Nothing in it is about
    a person."""
    max_waiting: int = Field(default=32, ge=1, le=10_000)
    """Questions that may wait for the shadow of one worker; what comes while so many wait is dropped, and counted."""


class ServingConfig(StrictConfig):
    """The `serving` section of a configuration file."""

    consent: ConsentRules = OPT_IN
    """What it means, by purpose, that a live person never answered. By default they have not agreed."""
    cache: CacheConfig = CacheConfig()
    """What is kept here of a registry that lies at an address."""
    device: Device = "cpu"
    """Where user tower and ranker run and items are searched. `cuda` needs a GPU and `requirements/serving-gpu.txt`, or
    is refused; each worker holds its own copy of the item vectors there."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes, each with its own copy of the models."""
    threads: int = Field(default=2, ge=1, le=64)
    """Requests that one worker works on at a time, beside those that write."""
    write_threads: int = Field(default=8, ge=1, le=256)
    """Requests that one worker takes to the store at a time: those that wait for the disk together share one sync."""
    max_waiting: int = Field(default=64, ge=0)
    """Most requests that may wait in one worker, however fast they are answered; one more is answered with 429."""
    deadline_ms: float = Field(default=200.0, gt=0)
    """Milliseconds after its arrival by which a request is to be answered. What would wait for more than half of this
    is answered with 429; what runs late leaves out explanations, then the ranker, and says so."""
    write_deadline_ms: float = Field(default=2000.0, gt=0)
    """The same for requests that write, which have threads of their own; the longest wait for the store's lock too."""
    batch_deadline_ms: float = Field(default=60_000.0, gt=0)
    """The same for /v1/recommend/batch, which has a thread of its own that waits while others ask: users whose turn
    comes later get an error in place of a list."""
    merge_items: int = Field(default=2_000, ge=1)
    """Changed items from which on they are merged into files beside the bundle, in a process of its own. What is not
    merged yet makes each further change cost more: about 3 ms for a thousand items."""
    retention: RetentionConfig = RetentionConfig()
    """How long what is known of people is kept."""
    privacy: PrivacyConfig = PrivacyConfig()
    """What an erasure looks through."""
    pseudonyms: PseudonymsConfig | None = None
    """People are kept, logged and exported under a keyed hash of their ids; answers carry the ids that were asked for.
    A store is begun with its key and opened with no other (docs/privacy.md)."""
    access: AccessConfig = AccessConfig()
    """Who is answered: keys and tokens (docs/access.md)."""
    languages: tuple[str, ...] = Field(default=("en", "pl"), min_length=1)
    """Languages in which reasons are told, by the names of the files in serving/reasons/languages; whoever asks for
    none of them is told in the first."""
    logging: LoggingConfig = LoggingConfig()
    """The service's own log."""
    tracing: TracingConfig = TracingConfig()
    """Traces of requests, for OpenTelemetry."""
    log_served: bool = True
    """Whether answers to people who allow measuring are logged: `after` and learning from what was shown need it."""
    attribution_hours: float = Field(default=24.0, gt=0)
    """What people do with an item counts as the effect of the list that it was in when it comes so soon after it."""
    shadow: ShadowConfig = ShadowConfig()
    """Comparing a shadow bundle with the live one."""
    newest_events: int = Field(default=RECENT_EVENTS, ge=1, le=10_000)
    """Newest events of a person that are read from the state; not fewer than the bundle's `pipeline.max_events`."""


def pseudonyms_in(path: Path | None) -> Pseudonyms | None:
    """The pseudonyms that the `serving` section of a file names; None without a file or section. Raises ConfigError."""
    return None if path is None else pseudonyms_of(read_serving(path).pseudonyms, path.resolve().parent)


def dataset_as_kept(file: ConfigFile) -> DatasetConfig:
    """The dataset section of a file, whose people get the pseudonyms under which they are served, if there are any."""
    if file.dataset.pseudonyms is not None:
        return file.dataset
    serving = ServingConfig.parse(file.content.get("serving") or {}, "serving")
    by_environment = PseudonymsConfig() if pseudonyms_of_environment() else None
    return file.dataset.model_copy(update={"pseudonyms": serving.pseudonyms or by_environment})


def read_serving(path: Path) -> ServingConfig:
    """The `serving` section of a file, or the defaults. Raises ConfigError."""
    return ServingConfig.parse(read_yaml(path).get("serving") or {}, "serving")
