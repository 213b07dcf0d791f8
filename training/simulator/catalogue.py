"""The items: what they are, from when to when they exist, what they cost, and what is likely to follow them.

Items stand on shelves (three to a category); a shelf has its own place in the latent space and its own words.
Within the shop and within the streaming service all shelves form one ring, and an item's likely successors
are a few places further on: mostly on the same shelf, sometimes on the next.
"""

from dataclasses import dataclass

import numpy as np

from features.arrays import BoolArray, IntArray
from features.moments import DAY
from training.simulator.latent import DIMENSIONS, RealArray, stream, strongest_words
from training.simulator.settings import SimulatorSettings

SHOP_CATEGORIES = ("kitchen", "garden", "sports", "fashion", "electronics", "toys")
STREAMING_CATEGORIES = ("drama", "comedy", "documentary", "crime", "fantasy", "family")
CATEGORIES = (*SHOP_CATEGORIES, *STREAMING_CATEGORIES)
SHELVES = 3
"""Shelves of a category."""
SUCCESSOR_STEPS = np.array([1, 2, 3, 5])
SUCCESSOR_ODDS = np.array([0.55, 0.25, 0.12, 0.08])
"""How likely each successor is, before taste has its say."""
FOREVER = np.iinfo(np.int64).max
NEW_SHARE = 0.3
"""Share of items that are published during the window; none in the null world."""
GONE_SHARE = 0.1
"""Share of items that leave; none in the null world."""
SALE_SHARE = 0.3
"""Share of the shop's items that are on sale once."""


@dataclass(frozen=True)
class Catalogue:
    """I items. Moments are int64 milliseconds since the epoch, UTC; `FOREVER` where there is none."""

    vectors: RealArray
    """float64 [I, D]: place in the latent space."""
    categories: IntArray
    """[I]: index into CATEGORIES."""
    streamed: BoolArray
    """[I]: whether the item belongs to the streaming service rather than the shop."""
    quality: RealArray
    """[I]: logit of lasting popularity."""
    published_at: IntArray
    """[I]"""
    available_until: IntArray
    """[I]"""
    successors: IntArray
    """[I, S]: items likely to follow, in the order of SUCCESSOR_ODDS."""
    duration: RealArray
    """[I]: seconds that a streamed item lasts."""
    full_price: RealArray
    """[I]: price of a shop item when it is not on sale; NaN for streamed items."""
    discount: RealArray
    """[I]: share taken off during the sale."""
    sale_from: IntArray
    """[I]"""
    sale_until: IntArray
    """[I]"""
    creators: list[str]
    titles: list[str]
    tags: list[str]
    """Two or three words, joined by `|`."""

    def __len__(self) -> int:
        return len(self.categories)

    def available(self, items: IntArray, moments: IntArray) -> BoolArray:
        """Whether items can be had at moments; shapes broadcast."""
        return (self.published_at[items] <= moments) & (moments < self.available_until[items])

    def on_sale(self, items: IntArray, moments: IntArray) -> BoolArray:
        """Whether items are on sale at moments; shapes broadcast."""
        return (self.sale_from[items] <= moments) & (moments < self.sale_until[items])

    def price(self, items: IntArray, moments: IntArray) -> RealArray:
        """Price of items at moments; NaN for streamed items."""
        off = np.where(self.on_sale(items, moments), self.discount[items], 0.0)
        prices: RealArray = np.round(self.full_price[items] * (1 - off), 2)
        return prices


def make_catalogue(settings: SimulatorSettings) -> Catalogue:
    """Draw the items of a world from its seed."""
    rng, count = stream(settings.seed, 1), settings.items
    shelves = rng.permutation(np.arange(count) % (len(CATEGORIES) * SHELVES))
    categories = shelves // SHELVES
    streamed = categories >= len(SHOP_CATEGORIES)
    vectors = _vectors(rng, shelves)
    published, until = _lifetimes(rng, settings)
    sale_from, sale_until = _sales(rng, settings, streamed)
    words, makers = _words(rng, len(CATEGORIES) * SHELVES * 3), _words(rng, len(CATEGORIES) * SHELVES * 4)
    adjectives = strongest_words(vectors, 3)
    creators = [makers[shelf * 4 + pick] for shelf, pick in zip(shelves, rng.integers(0, 4, count), strict=True)]
    nouns = [words[shelf * 3 + pick] for shelf, pick in zip(shelves, rng.integers(0, 3, count), strict=True)]
    prices = np.exp(rng.normal(3.2, 0.9, count)).round() + 0.99
    return Catalogue(
        vectors=vectors,
        categories=categories,
        streamed=streamed,
        quality=rng.normal(0.0, 1.0, count),
        published_at=published,
        available_until=until,
        successors=_successors(rng, shelves, streamed),
        duration=rng.lognormal(7.8, 0.5, count).round(),
        full_price=np.where(streamed, np.nan, prices),
        discount=rng.choice([0.2, 0.3, 0.4], count),
        sale_from=sale_from,
        sale_until=sale_until,
        creators=creators,
        titles=[
            f"{first} {noun} of {creator}".title()
            for (first, *_), noun, creator in zip(adjectives, nouns, creators, strict=True)
        ],
        tags=["|".join(row[: 2 + more]) for row, more in zip(adjectives, rng.integers(0, 2, count), strict=True)],
    )


def _vectors(rng: np.random.Generator, shelves: IntArray) -> RealArray:
    """float64 [I, D]: the category's centre, the shelf's own lean, and what is the item's alone."""
    category = rng.normal(0.0, 0.6, (len(CATEGORIES), DIMENSIONS))
    shelf = rng.normal(0.0, 0.4, (len(CATEGORIES) * SHELVES, DIMENSIONS))
    own = rng.normal(0.0, 0.35, (len(shelves), DIMENSIONS))
    return category[shelves // SHELVES] + shelf[shelves] + own


def _lifetimes(rng: np.random.Generator, settings: SimulatorSettings) -> tuple[IntArray, IntArray]:
    start, count = settings.start_moment, settings.items
    arriving, leaving = (NEW_SHARE, GONE_SHARE) if settings.world == "orderly" else (0.0, 0.0)
    old = start - DAY - (rng.random(count) * 730 * DAY).astype(np.int64)
    new = start + (rng.random(count) * settings.days * DAY).astype(np.int64)
    published = np.where(rng.random(count) < arriving, new, old)
    leaves = start + (rng.random(count) * 1.5 * settings.days * DAY).astype(np.int64)
    until = np.where(rng.random(count) < leaving, np.maximum(leaves, published + 7 * DAY), FOREVER)
    return published, until


def _sales(rng: np.random.Generator, settings: SimulatorSettings, streamed: BoolArray) -> tuple[IntArray, IntArray]:
    count = len(streamed)
    begin = settings.start_moment + (rng.random(count) * settings.days * DAY).astype(np.int64)
    days = rng.integers(3, 15, count)
    chosen = ~streamed & (rng.random(count) < SALE_SHARE)
    return np.where(chosen, begin, FOREVER), np.where(chosen, begin + days * DAY, FOREVER)


def _successors(rng: np.random.Generator, shelves: IntArray, streamed: BoolArray) -> IntArray:
    """[I, S]: the items some steps further along the ring of the shop or of the streaming service."""
    successors = np.empty((len(shelves), len(SUCCESSOR_STEPS)), dtype=np.int64)
    shuffled = rng.permutation(len(shelves))
    ordered = shuffled[np.argsort(shelves[shuffled], kind="stable")]
    for kind in (False, True):
        ring = ordered[streamed[ordered] == kind]
        places = (np.arange(len(ring))[:, None] + SUCCESSOR_STEPS) % len(ring)
        successors[ring] = ring[places]
    return successors


def _words(rng: np.random.Generator, count: int) -> list[str]:
    """Made-up words of three syllables, all different."""
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    codes = rng.choice(len(syllables) ** 3, count, replace=False)
    size = len(syllables)
    return [syllables[c // size**2] + syllables[c // size % size] + syllables[c % size] for c in codes]
