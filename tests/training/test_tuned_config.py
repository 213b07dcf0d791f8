"""The user's file with other values: read back it is what was meant, and the rest of its text stays."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from training.tuning.tuned_config import write_tuned

DATASET = "dataset:  # ours\n  events: {path: '${SHOP:-.}/events.csv'}\n"
CHANGES = {"towers.dropout": 0.35, "towers.blocks": 3, "ranker.layers": 1, "tower_fit.learning_rate": 2e-05}
FILES = {
    "no section": DATASET,
    "no newline at the end": DATASET.rstrip("\n"),
    "block": f"{DATASET}towers:\n  # deep\n  blocks: 2  # two\n  heads: 4\nseed: 7\n",
    "flow": f"{DATASET}towers: {{blocks: 2, heads: 4}}  # deep\nseed: 7\n",
    "flow over lines": f"{DATASET}towers: {{\n  blocks: 2,\n  heads: 4}}\n",
    "all set": f"{DATASET}ranker: {{layers: 4}}\ntowers:\n    dropout: 0.1\n    blocks: 2\n",
    "empty section": f"{DATASET}towers: {{}}\nseed: 7\n",
    "section without content": f"{DATASET}towers:\nseed: 7\n",
    "other language": f"# Läden\n{DATASET}towers: {{blocks: 2}}  # Türme\nranker:\n  layers: 5 # Ränge\n",
    "anchor": f"{DATASET}ranker: &shape {{layers: 2}}\ntowers: {{blocks: &two 2, heads: *two}}\n",
}


def expected(text: str) -> Any:
    content = yaml.safe_load(text)
    for key, value in CHANGES.items():
        section, name = key.split(".")
        content[section] = {**(content.get(section) or {}), name: value}
    return content


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_it_reads_back_as_meant(tmp_path: Path, text: str) -> None:
    (tmp_path / "shop.yaml").write_text(text, encoding="utf-8")
    write_tuned(tmp_path / "shop.yaml", tmp_path / "tuned.yaml", CHANGES)
    tuned = (tmp_path / "tuned.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(tuned) == expected(text)
    assert tuned.startswith("# shop.yaml with what `tailorbird tune` found.")
    assert "${SHOP:-.}/events.csv" in tuned
    assert (tmp_path / "shop.yaml").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", ["block", "flow", "flow over lines", "all set", "other language"])
def test_comments_and_order_stay(tmp_path: Path, name: str) -> None:
    (tmp_path / "shop.yaml").write_text(FILES[name], encoding="utf-8")
    write_tuned(tmp_path / "shop.yaml", tmp_path / "tuned.yaml", CHANGES)
    tuned = (tmp_path / "tuned.yaml").read_text(encoding="utf-8")
    comments = [line.partition("#")[2] for line in FILES[name].splitlines() if "#" in line]
    assert [line.partition("#")[2] for line in tuned.splitlines()[1:] if "#" in line] == comments
    assert "Its comments were lost" not in tuned


def test_without_changes_the_text_stays(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(FILES["block"], encoding="utf-8")
    write_tuned(tmp_path / "shop.yaml", tmp_path / "tuned.yaml", {})
    assert (tmp_path / "tuned.yaml").read_text(encoding="utf-8").partition("\n")[2] == FILES["block"]
