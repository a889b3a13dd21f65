from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from salerno import Answer, Section, Unavailable, write_report
from salerno.client.report import embeddable, render_report
from salerno.web.tables import Table
from tests.unit.client import answers

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Checker(HTMLParser):
    """Collects what a page would fetch or run, and tags that do not close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("script", "iframe", "object", "embed", "img", "link"):
            self.problems.append(tag)
        for name, value in attrs:
            if name.startswith("on") or (name in ("src", "href") and not (value or "").startswith("#")):
                self.problems.append(f"{tag} {name}={value}")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> out of place")


def checked(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    return checker


def report() -> str:
    table = Table(
        "Federated beside pooled", ("Term", "Difference"), (("age", "1e-12"),), (False, True), "A note."
    )
    return render_report(
        "Celecoxib <or> diclofenac",
        [
            Section(title="Curves", text="First.\n\nSecond & last.", answers=[Answer(answers.CURVES)]),
            Section(title="Model", answers=[answers.COX, answers.CURVES], tables=[table]),
            Section(title="Receipt", listing="<not> a tag"),
        ],
    )


def test_a_report_fetches_nothing_and_runs_nothing() -> None:
    html = report()
    assert checked(html).problems == []
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_texts_are_escaped() -> None:
    html = report()
    assert "Celecoxib &lt;or&gt; diclofenac" in html
    assert "&lt;not&gt; a tag" in html
    assert html.count("<p>First.</p>") == 1


def test_tables_have_captions_heads_and_notes() -> None:
    html = report()
    assert "<caption>Federated beside pooled</caption>" in html
    assert '<th scope="col" class="number">Difference</th>' in html
    assert "A note." in html


def test_plots_do_not_share_identifiers() -> None:
    first = embeddable('<?xml version="1.0"?><svg><g id="a"/><use href="#a" clip-path="url(#a)"/></svg>')
    second = embeddable('<svg><g id="a"/><rect/></svg>')
    name = re.search(r'id="([^"]+)"', first)
    assert name is not None
    assert first.startswith("<svg")
    assert f'href="#{name[1]}"' in first
    assert f"url(#{name[1]})" in first
    assert name[0] not in second


def test_the_file_is_written_into_a_new_folder(tmp_path: Path) -> None:
    path = write_report(tmp_path / "new" / "r.html", "T", [Section(title="S")])
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX")
def test_a_folder_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="report-not-written"):
        write_report(tmp_path / "file" / "r.html", "T", [])


def test_an_answer_writes_its_own_report(tmp_path: Path) -> None:
    html = Answer(answers.COX).write_report(tmp_path / "cox.html").read_text(encoding="utf-8")
    assert "Cox regression: Surv(time, status) ~ age + sex" in html
    assert checked(html).problems == []
