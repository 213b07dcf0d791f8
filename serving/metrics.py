"""Every metric that Prometheus is told, named once, with its unit; docs/metrics.md is written from this list.

Counters and histograms are summed over the workers of a machine, gauges as each says. No label holds an id: each
value would be a series of its own. A bundle's name is no person's id, and `BUNDLES` removes those that are gone.
"""

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from serving.telemetry.bundle_series import BundleSeries, bundle_files

_BUNDLE_FILES = bundle_files()

_REQUEST = (0.001, 0.002, 0.003, 0.004, 0.006, 0.008, 0.012, 0.016, 0.024, 0.032, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_STAGE = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
_SHARE = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
_SHIFT = (0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_LAG = (0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0)

REQUEST_SECONDS = Histogram(
    "tailorbird_request_seconds", "Time to answer, by route and status.", ["route", "status"], buckets=_REQUEST
)
REQUESTS_REFUSED = Counter("tailorbird_refused", "Requests answered with 429, by route.", ["route"])
REQUESTS_INSIDE = Gauge(
    "tailorbird_requests_inside", "Requests that wait or are worked on, by lane.", ["lane"], multiprocess_mode="livesum"
)
STAGE_SECONDS = Histogram(
    "tailorbird_stage_seconds",
    "Time of one stage of a list, by stage and the bundle that made it.",
    ["stage", "bundle"],
    buckets=_STAGE,
)
ANSWERS = Counter("tailorbird_answers", "Lists, by route and the bundle that made them.", ["route", "bundle"])
ITEMS_SHOWN = Counter(
    "tailorbird_items_shown", "Items of lists, by the source that ranks each best, and bundle.", ["source", "bundle"]
)
DEGRADED = Counter(
    "tailorbird_degraded",
    "Answers that had to do without something, by what it was, and bundle.",
    ["missing", "bundle"],
)
EFFECTS = Counter(
    "tailorbird_effects",
    "Items of answers that people saw (sign exposure) or acted on within `serving.attribution_hours`, each item once "
    "per type of event and worker, by sign and type, bundle and placement of the answer.",
    ["sign", "type", "bundle", "placement"],
)
EFFECTS_LOST = Counter(
    "tailorbird_effects_lost", "Events that name an answer and are in no effect, because too many waited for a look."
)
SHORTFALLS = Counter(
    "tailorbird_shortfalls", "Lists with fewer items than wanted, by route and bundle.", ["route", "bundle"]
)
FILTER_PLANS = Counter(
    "tailorbird_filter_plans", "Lists with a filter, by how those that pass were searched.", ["plan"]
)
FILTER_CACHE_BYTES = Gauge(
    "tailorbird_filter_cache_bytes", "Memory of filters that were evaluated before.", multiprocess_mode="livesum"
)
EVENTS = Counter("tailorbird_events", "Posted events, by what became of them.", ["status"])
SERVED_LOST = Counter("tailorbird_served_lost", "Answers that were not logged, because too many waited for the store.")
EVENT_LAG_SECONDS = Histogram("tailorbird_event_lag_seconds", "From what a person did to storing it.", buckets=_LAG)
INPUTS = Counter(
    "tailorbird_inputs",
    "Some of the answers, at most 20 a second and worker, by what the models were shown: input, bin of its codes, and "
    "bundle.",
    ["input", "bin", "bundle"],
)
INPUT_REFERENCE = Gauge(
    "tailorbird_input_reference_share",
    "Share of the same bin when the bundle was trained.",
    ["input", "bin", "bundle"],
    multiprocess_mode="livemax",
)
BUNDLE_NEWEST_EVENT = Gauge(
    "tailorbird_bundle_newest_event_timestamp_seconds",
    "When the newest event happened that the oldest answering bundle was trained on; 0 where events have no time.",
    multiprocess_mode="livemin",
)
BUNDLE_REFUSED = Gauge(
    "tailorbird_bundle_refused",
    "1 while the registry names a bundle that a worker refused.",
    multiprocess_mode="livemax",
)
REGISTRY_TROUBLE = Gauge(
    "tailorbird_registry_trouble",
    "1 while the address of the registry does not answer, or names a bundle that cannot be had from it.",
    multiprocess_mode="livemax",
)
SWAPS = Counter("tailorbird_swaps", "Bundles that took another's place, or were refused, by worker.", ["outcome"])
CANARY_SHARE = Gauge(
    "tailorbird_canary_share",
    "Share of people whom a canary answers, in the worker where it is smallest.",
    multiprocess_mode="livemin",
)
SHADOW_ANSWERS = Counter(
    "tailorbird_shadow_answers",
    "Lists that a shadow was to make too, by its bundle: compared, dropped because too many waited, or failed.",
    ["bundle", "outcome"],
)
SHADOW_OVERLAP = Histogram(
    "tailorbird_shadow_overlap", "Share of a list that the shadow's list has too.", ["bundle"], buckets=_SHARE
)
SHADOW_SCORE_SHIFT = Histogram(
    "tailorbird_shadow_score_shift",
    "Mean distance between the scores that a shadow and the live bundle give to the same items.",
    ["bundle"],
    buckets=_SHIFT,
)
SHADOW_SECONDS = Histogram(
    "tailorbird_shadow_seconds",
    "Time in the pipeline for lists that were compared, of the shadow and of the live bundle.",
    ["bundle", "by"],
    buckets=_STAGE,
)
ITEMS_CHANGED = Gauge(
    "tailorbird_items_changed",
    "Items that differ from the files that are served, in the worker with most of them.",
    multiprocess_mode="livemax",
)
ITEMS_WAITING = Gauge(
    "tailorbird_items_waiting",
    "Numbers of the log of item changes that the slowest worker has not applied.",
    multiprocess_mode="livemax",
)
ITEM_CHANGE_AGE_SECONDS = Gauge(
    "tailorbird_item_change_age_seconds",
    "Age of the oldest item change that a worker has not applied; 0 when there is none.",
    multiprocess_mode="livemax",
)
ITEM_CHANGE_SECONDS = Histogram(
    "tailorbird_item_change_seconds", "From storing an item change to answering with it, by worker."
)

BUNDLES = BundleSeries([one for one in list(globals().values()) if isinstance(one, MetricWrapperBase)], _BUNDLE_FILES)
"""What became of the series of former bundles is decided here."""
