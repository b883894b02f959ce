"""What the Dockerfile promises before anything is built: a base of the builder's choice, no root, no address of a registry."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from plinth.spark_settings import Spark
from tests.deploy.rendering import CHART

DOCKERFILE = CHART.parent / "Dockerfile"
STAGES = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)


def body(stage: str) -> str:
    text = DOCKERFILE.read_text(encoding="utf-8")
    return next(
        part
        for part in re.split(r"^(?=FROM )", text, flags=re.MULTILINE)
        if part.startswith("FROM ") and part.splitlines()[0].endswith(f" AS {stage}")
    )


def test_every_stage_stands_on_the_given_base_or_on_one_before() -> None:
    known = {"${BASE}"}
    for base, name in STAGES:
        assert base in known, f"{name} stands on {base}"
        known.add(name)
    assert re.search(r"^ARG BASE$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE), (
        "a default base would be one that nobody pinned"
    )


def test_every_image_ends_as_a_user_by_number() -> None:
    for target in ("platform", "api", "spark"):
        users = re.findall(r"^USER (\S+)$", body(target), re.MULTILINE)
        assert users == ["10001:10001"]
        assert "COPY --chown" not in body(target), "what runs must not be able to change itself"
    assert yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["pod"]["user"] == 10001


def test_the_jars_of_the_image_are_those_that_a_session_would_fetch() -> None:
    assert re.findall(r"^ARG SPARK_PACKAGES=(\S+)$", body("spark-jars"), re.MULTILINE) == [",".join(Spark().packages)]


def test_no_registry_or_index_is_named() -> None:
    files = [each for each in CHART.parent.rglob("*") if each.is_file() and "__pycache__" not in each.parts]
    assert len(files) > 20
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"pypi\.org|docker\.io|quay\.io|ghcr\.io|gcr\.io|deb\.debian\.org|--index-url", text), file
    images = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["images"]
    assert images["registry"] == ""
    for each in images.values():
        if isinstance(each, dict):
            assert "." not in each["repository"].split("/")[0]


def test_what_the_builder_is_given_is_what_the_stages_copy() -> None:
    home = CHART.parents[1]
    given = [
        line[1:] for line in (home / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    ]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    for source in {part for line in copied for part in line.split()}:
        assert any(source == each or Path(source.replace("${LOCK}", "image")).match(each) for each in given), source
        assert "${" in source or (home / source).exists(), source
