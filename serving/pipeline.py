"""(person, query, moment, bundle) -> answer: everything that decides what a person sees, and nothing else.

No store, no clock, no HTTP. Training makes its examples, evaluation and golden answers by calling this object.
"""

from collections.abc import Callable, Collection, Sequence
from time import perf_counter
from typing import Literal

import numpy as np

from features.arrays import FloatArray, IntArray
from features.errors import BundleError
from features.person import Person, impersonal
from features.vocabulary import RESERVED, UNKNOWN
from serving.answers import Answer, Filtering, Query, RankedItem, Reason, Shortfall, Standing
from serving.bundle import Bundle
from serving.filters import Filter
from serving.plan import Plan
from serving.ranking.blend import blend
from serving.ranking.ranker_inputs import RankerRows, feature_names, ranker_rows
from serving.ranking.strength import blended
from serving.reasons import Listed, reasons_for, standing_of
from serving.retrieval.bitmap import Bitmap, contains, size
from serving.retrieval.candidates import Candidates, given, retrieve_all
from serving.retrieval.eligibility import Eligible, open_to_all
from serving.retrieval.preferred import hidden, lift, pinned_masks
from serving.retrieval.similar import similar_rows
from serving.situation import Situation, situations

SimilarKind = Literal["similar", "goes_with", "next"]


class Pipeline:
    """Answers from one bundle; safe to call from several threads."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises BundleError when the ranker was fitted on other inputs than this version makes."""
        made_for = bundle.manifest.get("ranker_inputs")
        if made_for is not None and tuple(made_for) != feature_names(bundle.schema):
            raise BundleError(
                f"the ranker of {bundle.path} reads other inputs than this version of Tailorbird makes",
                hint="Train a bundle with this version, or serve this one with the version that made it.",
            )
        self.bundle = bundle
        kinds = bundle.schema.dataset.types
        self._utilities = np.array(
            [kinds[head].weight * (-1.0 if kinds[head].sign == "negative" else 1.0) for head in bundle.schema.heads]
        )

    def recommend(self, person: Person, query: Query, moment: int) -> Answer:
        """The best `query.k` items that this person may be shown at this moment (ms, or sequence number)."""
        return self.recommend_all([(person, moment)], query)[0]

    def recommend_all(self, asked: Sequence[tuple[Person, int]], query: Query) -> list[Answer]:
        """What `recommend` answers each of a few people at their moments, stage by stage over all of them.

        To the bit the same, and a third cheaper: what a stage reads stays near the processor from one person to the
        next. Timings are a person's share; a stage that time is too short for is left out for all.
        """
        watch = _Watch(len(asked))
        plan = Plan(query.budget, explain=query.explain)
        made = self._listed(asked, query, plan, watch)
        orders = [one.order[: query.k] for one in made]
        reasons = self._reasons(made, orders, plan, watch)
        items = [self._items(*each) for each in zip(made, orders, reasons, strict=True)]
        watch.lap("answer")
        return [
            Answer(
                shown,
                _shortfall(one.here, query.k, len(shown), filtered=one.passing is not None),
                dict(watch.laps),
                filtering=self._filtering(one.passing, one.here.eligible),
                degraded=plan.degraded,
            )
            for one, shown in zip(made, items, strict=True)
        ]

    def explain(self, person: Person, item_id: str, query: Query, moment: int) -> Standing:
        """Where an item stands for this person, as `recommend` has it, and what keeps it from the first `query.k`."""
        (made,) = self._listed([(person, moment)], query, Plan(None, explain=True), _Watch())
        row = self.bundle.schema.items.row(item_id)
        return standing_of(made, row, item_id, query, self._scores, self._expected_values)

    def _listed(self, asked: Sequence[tuple[Person, int]], query: Query, plan: Plan, watch: "_Watch") -> list[Listed]:
        """Each person's candidates in their order, and what they were made of."""
        heard, passing = self._asked(asked, query, query.exclude)
        watch.lap("encode")
        brought = list(zip(heard, retrieve_all(heard, query.k), strict=True))
        watch.lap("retrieve")
        ordered = self._ordered(brought, plan)
        watch.lap("rank")
        return [
            Listed(
                here,
                rows,
                candidates,
                *scored,
                pinned_masks(self.bundle, here.person.preferences, candidates.rows),
                query.k,
            )
            for (here, candidates), rows, scored in zip(brought, passing, ordered, strict=True)
        ]

    def rank(self, person: Person, item_ids: Sequence[str], query: Query, moment: int) -> Answer:
        """A given list in this person's order, without what they hid or fails the filter; `unknown` names unknown ids.

        Of the query, `k` and `exclude` say nothing here.
        """
        watch = _Watch()
        rows = self.bundle.schema.items.rows(item_ids)
        (here,), (passing,) = self._asked([(person, moment)], query)
        known = np.unique(rows[rows >= RESERVED])
        shown = known[~hidden(self.bundle, person.preferences, known)]
        chosen = shown if passing is None else shown[contains(passing, shown)]
        candidates = given(here, chosen)
        plan = Plan(query.budget, explain=query.explain)
        made = Listed(here, passing, candidates, *self._ordered([(here, candidates)], plan)[0])
        watch.lap("rank")
        (reasons,) = self._reasons([made], [made.order], plan, watch)
        items = self._items(made, made.order, reasons)
        kept = (("were hidden by the person", len(known) - len(shown)), ("fail the filter", len(shown) - len(chosen)))
        failed = ", ".join(f"{count} of the items {why}" for why, count in kept if count)
        return Answer(
            items,
            Shortfall(len(known), len(chosen), failed) if len(chosen) < len(known) else None,
            watch.laps,
            unknown=tuple(one for one, row in zip(item_ids, rows, strict=True) if row == UNKNOWN),
            filtering=self._filtering(passing, here.eligible),
            degraded=plan.degraded,
        )

    def similar(self, item_ids: Sequence[str], kind: SimilarKind, query: Query, moment: int) -> Answer:
        """Items like the given ones (`similar`), taken along with them (`goes_with`), or after them (`next`).

        Nobody asks: a filter that reads a user finds nothing known of them.
        """
        watch = _Watch()
        rows = self.bundle.schema.items.rows(item_ids)
        passing = self._passing(query.filter, Person(), moment)
        eligible = open_to_all(self.bundle.schema, self.bundle.catalogue, moment, query.exclude).but(rows)
        eligible = eligible if passing is None else eligible.among(passing)
        found, scores = similar_rows(self.bundle, rows[rows >= RESERVED], query.k, kind, eligible)
        items = tuple(self._plain(row, score, kind) for row, score in zip(found, scores, strict=True))
        watch.lap(kind)
        cause = f"only {len(items)} items {'pass the filter and ' if query.filter else ''}have evidence for {kind!r}"
        return Answer(
            items,
            Shortfall(query.k, len(items), cause) if len(items) < query.k else None,
            watch.laps,
            unknown=tuple(one for one, row in zip(item_ids, rows, strict=True) if row == UNKNOWN),
            filtering=self._filtering(passing, eligible),
        )

    def _asked(
        self, asked: Sequence[tuple[Person, int]], query: Query, exclude: Collection[str] = ()
    ) -> tuple[list[Situation], list[Bitmap | None]]:
        """Each person at their moment, and the rows that pass the filter, which knows as little of them as the list."""
        known = [(impersonal(one) if one.preferences.strength == 0 else one, moment) for one, moment in asked]
        passing = [self._passing(query.filter, *one) for one in known]
        return situations(self.bundle, known, exclude, passing), passing

    def _passing(self, chosen: Filter | None, person: Person, moment: int) -> Bitmap | None:
        """Rows that pass a filter; None without one."""
        bundle = self.bundle
        return None if chosen is None else bundle.filterable.passing(chosen, bundle.schema, person, moment)

    def _filtering(self, passing: Bitmap | None, eligible: Eligible) -> Filtering | None:
        if passing is None:
            return None
        plan = self.bundle.index.plan(eligible, self.bundle.settings.sources.nearest)
        items = len(self.bundle.catalogue) - RESERVED
        return Filtering(size(passing) / max(items, 1), plan.name, plan.cells)

    def _ordered(
        self, brought: Sequence[tuple[Situation, Candidates]], plan: Plan
    ) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """Scores float64 [K] and probabilities float64 [K, H] of each; without the ranker the sources' blend, none."""
        if not plan.ranks():
            return [(self._as_declared(*one, blend(one[1]), lambda _, those: blend(those)), None) for one in brought]
        rows = [ranker_rows(*one) for one in brought]
        scored = [self.expected(self._logits(one)) for one in rows]
        return [
            (self._as_declared(*one, scores, self._model_scores), probabilities)
            for one, (scores, probabilities) in zip(brought, scored, strict=True)
        ]

    def _as_declared(
        self,
        here: Situation,
        candidates: Candidates,
        scores: FloatArray,
        score: Callable[[Situation, Candidates], FloatArray],
    ) -> FloatArray:
        """Scores float64 [K] after what the person wants more and less of, as personal as they want them."""
        declared = here.person.preferences
        scores = lift(self.bundle, declared, len(here.history.item_rows), candidates.rows, scores)
        if candidates.plain is None:
            return scores
        plain = Candidates(candidates.rows, candidates.plain)
        return blended(scores, candidates.personal, score(here.plain, plain), plain.personal, declared.strength)

    def score(self, here: Situation, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """Expected value float64 [K] and calibrated probabilities float64 [K, H] of each candidate."""
        return self.expected(self.logits(here, candidates))

    def expected(self, logits: FloatArray) -> tuple[np.ndarray, np.ndarray]:
        """From logits float32 [K, H] to expected value float64 [K] and probabilities float64 [K, H]."""
        probabilities = self.bundle.calibration.probabilities(logits)
        return probabilities @ self._utilities, probabilities

    def logits(self, here: Situation, candidates: Candidates) -> FloatArray:
        """The ranker's raw answer, float32 [K, H]."""
        return self._logits(ranker_rows(here, candidates))

    def _logits(self, rows: RankerRows) -> FloatArray:
        if self.bundle.ranker is None:
            raise RuntimeError("this bundle has no ranker yet; only training opens such a bundle")
        if len(rows.features) == 0:
            return np.empty((0, len(self._utilities)), dtype=np.float32)
        logits: FloatArray = self.bundle.ranker({name: value[None] for name, value in rows._asdict().items()})[0]
        return logits

    def _model_scores(self, here: Situation, candidates: Candidates) -> np.ndarray:
        return self.score(here, candidates)[0]

    def _scores(self, here: Situation, candidates: Candidates) -> np.ndarray:
        return self._ordered([(here, candidates)], Plan(None, explain=False))[0][0]

    def _expected_values(self, logits: FloatArray) -> np.ndarray:
        return self.expected(logits)[0]

    def _reasons(
        self, made: Sequence[Listed], orders: Sequence[IntArray], plan: Plan, watch: "_Watch"
    ) -> list[list[tuple[Reason, ...]]]:
        """Of each item of each order; empty ones when nobody asked, or time is short."""
        if not plan.explains():
            return [[()] * len(order) for order in orders]
        reasons = [
            reasons_for(one, order, self._scores, self._expected_values)
            for one, order in zip(made, orders, strict=True)
        ]
        watch.lap("explain")
        return reasons

    def _items(self, made: Listed, order: IntArray, reasons: list[tuple[Reason, ...]]) -> tuple[RankedItem, ...]:
        heads, catalogue, ids = self.bundle.schema.heads, self.bundle.catalogue, self.bundle.schema.items
        rows, probabilities = made.candidates.rows[order], made.probabilities
        by_head = [()] * len(order) if probabilities is None else probabilities[order].tolist()
        columns = (ids.ids_of(rows), made.scores[order].tolist(), by_head, catalogue.titles_of(rows), reasons)
        return tuple(
            RankedItem(
                item_id=item_id,
                score=score,
                probabilities=dict(zip(heads, chances, strict=False)),
                sources=made.sources_of(index),
                title=title,
                reasons=why,
            )
            for index, item_id, score, chances, title, why in zip(order.tolist(), *columns, strict=True)
        )

    def _plain(self, row: int, score: float, kind: str) -> RankedItem:
        title = self.bundle.catalogue.title(int(row))
        return RankedItem(self.bundle.schema.items.id_of(int(row)), float(score), {}, (kind,), title)


def _shortfall(here: Situation, wanted: int, given_items: int, *, filtered: bool) -> Shortfall | None:
    if given_items >= wanted:
        return None
    eligible = here.eligible.count
    if eligible <= given_items:
        why = "fail the filter, were taken, excluded," if filtered else "were taken, excluded,"
        preferences = here.person.preferences
        why = f"were hidden by the person, {why}" if preferences.hidden_items or preferences.hidden else why
        cause = f"only {eligible} items may be shown: the others {why} or are not available"
    else:
        cause = f"the candidate sources brought {given_items} of {eligible} items that may be shown"
    return Shortfall(wanted, given_items, cause)


class _Watch:
    """Milliseconds between laps, shared evenly among people who are answered together."""

    def __init__(self, people: int = 1) -> None:
        self.laps: dict[str, float] = {}
        self._people = max(1, people)
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        now = perf_counter()
        self.laps[name] = round((now - self._last) * 1000 / self._people, 3)
        self._last = now
