"""Pages tell the bounds that the code has: each of these sentences is made of a constant."""

import math
from pathlib import Path

import pytest

from core.costs import budget, recording, report, rollup, trials
from core.learning import feedback, following, retraining, served
from core.learning.context import MAX_BYTES, MAX_DEPTH
from core.learning.learner import bayes, blocks, linear, trust
from core.learning.learner.calibration import WINDOW
from core.learning.learner.model import MAX_CONCEPTS
from core.learning.learner.terms import BUCKETS, MAX_CHARACTERS, MAX_LEAVES
from core.learning.models import pointer, stored
from core.learning.patterns import CAPACITY, MAX_ACTION_BYTES, WEIGHTS, Kind
from functions import retrain
from functions._learning import control
from functions._learning import feedback as over_http

MB, SECOND_MS, WORDS = 1 << 20, 1_000, {3: "three", 5: "five"}
LEARNING = [
    f"{feedback.MOST_WAITING:,} of a task and {feedback.MOST_WAITING_BYTES // MB} MB of a tenant at most",
    f"Of {feedback.MOST_TASKS:,} tasks of a tenant",
    f"has {feedback.MOST_LISTED:,} tasks",
    f"or up to {over_http.MOST} as",
    f"after {control.MOST_TASKS} tasks `after`",
    f"any JSON object up to {MAX_BYTES // 1024} kB and {MAX_DEPTH} levels",
    f"one line of {MAX_ACTION_BYTES} bytes",
    f"At most {MAX_CONCEPTS:,} actions of a task, and {MAX_LEAVES} values of a context",
    f"some {MAX_CHARACTERS:,} characters are looked at",
    f"2^{int(math.log2(BUCKETS))} buckets by actions, and the last {WINDOW:,} answers",
    f"trained with each feedback and {WORDS[linear.REPLAYED]} earlier ones again",
    f"an outcome's {WEIGHTS[Kind.OUTCOME]}, an agent's {WEIGHTS[Kind.AGENT]}",
    f"counts {trust.DOUBTED} in three cases",
    f"half of the last {trust.WINDOW} contradictions",
    f"for {round(math.exp(bayes.SURE), -2):.0f} times as likely",
    f"keeps {CAPACITY:,} patterns",
    f"A block is a hundredth of what was learnt before it at most, and {blocks.MOST} feedbacks",
    f"a third of all, {retraining.JUDGED:,} at most",
    f"the last {WORDS[pointer.KEPT_VERSIONS]} models",
    f"of {stored.MAX_BYTES // MB} MB at most",
    f"leased for {retrain.LEASE_MS // SECOND_MS // 60} minutes",
    f"asks for the pointer each {following.RECHECK_SECONDS:.0f} seconds",
    f"waits {following.WARM_SECONDS} seconds for it at most",
    f"for {WORDS[int(following.CATCH_UP_SECONDS)]} seconds at most in one answer",
    f"A process keeps {served.MOST_BYTES // MB} MB of learners",
    f"of {served.MOST_NOTHING:,} of them at most",
]
COSTS = [
    f"at most, and without it, {report.MOST_ROWS:,} ({report.MOST_FOCUS_ROWS:,} as FOCUS)",
    f"by day and by hour for {report.KEPT_DAYS} days",
    f"A day keeps {rollup.MOST_CELLS:,} different combinations",
    f"counts up to {recording.MOST_CALLS:,} model calls",
    f"remembered for {rollup.REMEMBERED_DAYS} days; `at` may lie {recording.OLDEST_DAYS} days back",
    f"`spent` has the {budget.MOST_STATES} names",
    f"after `most_calls` answers ({trials.MOST_OUTCOMES:,})",
]
PAGES = [("learning", each) for each in LEARNING] + [("costs", each) for each in COSTS]


@pytest.mark.parametrize(("page", "sentence"), PAGES)
def test_what_a_page_says_of_bounds_is_what_the_code_has(page: str, sentence: str):
    path = Path(__file__).parents[2] / "docs" / f"{page}.md"
    assert sentence in " ".join(path.read_text("utf-8").split())
