"""Whole questions over several nodes: the answer, what the coordinator sees, what each side logs."""

from __future__ import annotations

import statistics


def ages(table: str) -> list[int]:
    return [int(line.split(",")[0]) for line in table.splitlines()[1:]]


def test_a_question_gets_the_pooled_answer(make_space, three_tables) -> None:
    space = make_space(three_tables)
    asked = space.answer({"method": "describe", "variable": "age"})
    assert asked.error is None
    pooled = [age for table in three_tables for age in ages(table)]
    answer = asked.answer
    assert answer["n"] == 120
    print(answer)
