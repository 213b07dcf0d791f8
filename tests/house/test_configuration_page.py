"""docs/configuration.md is what the config classes say, and says something of every key."""

from pathlib import Path

import pytest

from training.config import TrainingConfig
from training.configuration_page import Section, configuration_page, fields_of, sections_of

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
SECTIONS = list(sections_of(TrainingConfig))


def test_the_page_is_the_one_that_the_classes_give() -> None:
    assert PAGE.read_text(encoding="utf-8") == configuration_page(), "run `make docs`"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.path)
def test_every_key_is_explained(section: Section) -> None:
    assert [key for key, field in fields_of(section.config) if not field.description] == []


def test_keys_stand_as_the_file_has_them() -> None:
    paths = {section.path for section in SECTIONS}
    assert {"dataset.events", "dataset.types.NAME.repeat", "dataset.users.columns.NAME", "serving"} <= paths
    page = configuration_page()
    assert "| `from` | text |" in page
    assert "| `max_epochs` | whole number, from 1 |" in page
