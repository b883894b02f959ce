"""What a dbt project may not have is refused with the file and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from plinth.errors import ConfigurationError
from plinth.transform.project import prepare

from .shop import write_project

pytestmark = pytest.mark.slow


def test_a_test_of_a_source_alone_is_refused_with_the_place_where_its_rule_belongs(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "dbt_project")
    file = folder / "models" / "models.yml"
    tested = "{name: orders, columns: [{name: id, data_tests: [not_null]}]}"
    file.write_text(file.read_text().replace("{name: orders}", tested, 1))
    with pytest.raises(ConfigurationError, match=r"is about no model[\s\S]*models\.yml[\s\S]*rule of its contract"):
        prepare(folder)
