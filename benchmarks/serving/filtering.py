"""Filters: what share of the exact answer a filtered search finds, and what a filtered list costs, by share allowed.

Recall is that of /v1/similar, whose order is the plain product of vectors, so that an exact answer can be computed
from the bundle: the given item's vector with those of all allowed items.
"""

from typing import Any, NamedTuple

import numpy as np

from benchmarks.serving.generator import drive
from benchmarks.serving.latency import warm
from benchmarks.serving.plan import Plan, require_field
from benchmarks.serving.samples import answered, latency
from benchmarks.serving.servers import Service, tailorbird
from benchmarks.serving.shop import shop_of
from benchmarks.serving.traffic import recommends
from features.arrays import BoolArray
from serving.bundle import Bundle, open_bundle

SHARES = (0.5, 0.1, 0.01, 0.001, 0.0001)
DEPTH = 10
QUERIES = 100
RATE = 20
LISTS = 400


class Filter(NamedTuple):
    """An expression and the items that it allows."""

    text: str
    allowed: BoolArray
    """bool [R] by row; items that are not available are among the others."""


def measure_filters(plan: Plan) -> dict[str, Any]:
    """Recall and latency by share. Raises NotYetError where requests have no filter."""
    bundle = open_bundle(plan.bundle)
    filters = {f"{share:g}": price_below(bundle, plan, share) for share in SHARES}
    with tailorbird(plan.state, bundle=plan.bundle, workers=plan.workers, folder=plan.logs) as service:
        require_field(service, "/v1/similar", "filter")
        require_field(service, "/v1/recommend", "filter")
        plan.crowd.again()
        warm(plan, service)
        recall = {share: _recall(service, bundle, one) for share, one in filters.items()}
        cost = {share: _cost(plan, service, one) for share, one in filters.items()}
    allowed = {share: int(one.allowed.sum()) for share, one in filters.items()}
    return {"filtered_recall": recall, "items_allowed": allowed, "recommend": cost}


def price_below(bundle: Bundle, plan: Plan, share: float) -> Filter:
    """The cheapest items, so many that they are about this share of all."""
    tables = shop_of(plan.items).tables
    prices = tables.items.columns["price"].astype(np.float64)
    limit = float(np.quantile(prices, share))
    allowed = np.zeros(len(bundle.catalogue), dtype=bool)
    allowed[bundle.schema.items.rows(tables.items.ids[prices < limit])] = True
    open_now = np.iinfo(np.int64).max  # the shop's items are closed for ever or never
    return Filter(f"price < {limit:g}", allowed & (np.asarray(bundle.catalogue.available_to) == open_now))


def _recall(service: Service, bundle: Bundle, one: Filter) -> float:
    draw = np.random.default_rng(0)
    vectors = np.asarray(bundle.catalogue.vectors)
    rows = np.flatnonzero(one.allowed)
    found = []
    for row in draw.integers(2, len(vectors), QUERIES).tolist():
        exact = rows[rows != row]
        exact = exact[np.argsort(-(vectors[exact] @ vectors[row]), kind="stable")[:DEPTH]]
        wanted = {bundle.schema.items.id_of(int(other)) for other in exact}
        body = {"item_ids": [bundle.schema.items.id_of(row)], "k": DEPTH, "filter": one.text}
        _, content, _ = service.ask("/v1/similar", body)
        got = {item["item_id"] for item in content.get("items", ())}
        found.append(len(wanted & got) / max(1, len(wanted)))
    return round(float(np.mean(found)), 4)


def _cost(plan: Plan, service: Service, one: Filter) -> dict[str, float]:
    calls = recommends(plan.crowd.take(LISTS), filter=one.text)
    return latency(answered(drive(calls, port=service.port, loop="open", rate=RATE).samples))
