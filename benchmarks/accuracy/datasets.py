"""The data sets that are measured: configuration, frozen split, and the figures to beat.

The split is what lies beside a configuration's table of events: `train.parquet`, which the configuration names, and
`holdout.csv`, of which only the referee reads more than the users. Published figures are those of
spotify-research/sequential-capacity-probes (RecSys 2026), on this very protocol: the last item of each user held
out, everything seen filtered, the full catalogue ranked. `transitions` stands beside the published PCTM.
"""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from features.strict import read_yaml

ROOT = Path(__file__).resolve().parents[2]


class Figures(NamedTuple):
    """A pair of accuracies; None where nobody published one."""

    ndcg10: float | None
    recall10: float | None


class DataSet(NamedTuple):
    """One data set under the protocol."""

    name: str
    config: Path
    published: dict[str, Figures]
    """By system."""
    best_published: Figures
    at_least: Figures
    aim: Figures
    sequence_model: dict[str, float]
    """Shape of the neural peers, as in the published comparison."""

    @property
    def content(self) -> dict[str, Any]:
        """The configuration as plain data, its relative paths made absolute."""
        content: dict[str, Any] = absolute(read_yaml(self.config), self.config.resolve().parent)
        return content

    @property
    def train(self) -> Path:
        """What a system may learn from."""
        return Path(self.content["dataset"]["events"]["path"])

    @property
    def holdout(self) -> Path:
        """What each user took next."""
        return self.train.with_name("holdout.csv")


def absolute(content: Any, folder: Path) -> Any:
    """Configuration data in which every `path` starts at the root, so that it may be written to another folder."""
    if not isinstance(content, dict):
        return content
    return {
        key: str((folder / value).resolve()) if key == "path" and isinstance(value, str) else absolute(value, folder)
        for key, value in content.items()
    }


def write_config(dataset: DataSet, seed: int, settings: dict[str, Any], path: Path) -> None:
    """The data set's own configuration with a seed, and `settings` laid over it for a trial."""
    content = merged(dataset.content, {**settings, "seed": seed})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def merged(content: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over `content`, section by section."""
    both = {
        key: merged(content[key], value) if isinstance(value, dict) and isinstance(content.get(key), dict) else value
        for key, value in over.items()
    }
    return {**content, **both}


DATASETS = {
    "ml-1m": DataSet(
        name="ml-1m",
        config=ROOT / "configs" / "movielens-1m.yaml",
        published={
            "popularity": Figures(0.018, None),
            "markov": Figures(0.1240, 0.2112),
            "transitions": Figures(0.1815, 0.3057),
            "rectools-sasrec": Figures(0.1684, 0.2929),
            "rectools-hstu": Figures(0.1719, 0.3037),
        },
        best_published=Figures(0.1815, 0.3164),
        at_least=Figures(0.1900, 0.3220),
        aim=Figures(0.2050, 0.3450),
        sequence_model={"dim": 64, "blocks": 2, "heads": 1, "dropout": 0.1, "length": 200},
    ),
    "beauty": DataSet(
        name="beauty",
        config=ROOT / "configs" / "beauty.yaml",
        published={
            "popularity": Figures(0.007, None),
            "markov": Figures(0.0492, 0.0723),
            "transitions": Figures(0.0635, 0.0998),
            "rectools-sasrec": Figures(0.0531, 0.0921),
            "rectools-hstu": Figures(0.0439, 0.0788),
        },
        best_published=Figures(0.0635, 0.0998),
        at_least=Figures(0.0680, 0.1085),
        aim=Figures(0.0720, 0.1140),
        sequence_model={"dim": 64, "blocks": 1, "heads": 1, "dropout": 0.2, "length": 50},
    ),
}
