import pytest

from tyqi_core.errors import InputError
from tyqi_node_report.severity import LABELS, grade, rules


def table(width_mm=(0.1, 1, 5, 15), width_px=(1, 3, 5, 8), area=(0.0005, 0.01, 0.05, 0.15), count=()):
    return rules(width_mm, width_px, area, count)


def graded(measurements=None, score=None, **steps):
    return grade(measurements, score, table(**steps), (1, 2))


@pytest.mark.parametrize(
    ("name", "value", "unit", "level"),
    [
        ("max_width", 0.05, "mm", 0),
        ("max_width", 0.1, "mm", 1),
        ("max_width", 4.99, "mm", 2),
        ("max_width", 5, "mm", 3),
        ("max_width", 40, "mm", 4),
        ("max_width", 4, "px", 2),
        ("area_fraction", 0.0, "1", 0),
        ("area_fraction", 0.06, "1", 3),
        ("area_fraction", 6, "%", 3),
        ("area_fraction", 0.2, "", 4),
    ],
)
def test_a_figure_has_the_level_of_the_highest_step_that_it_reaches(name, value, unit, level):
    result = graded({name: {"value": value, "unit": unit}})
    assert result["level"] == level
    assert result["label"] == LABELS[level]


def test_nothing_measured_and_no_score_is_sound_and_says_so():
    result = graded()
    assert (result["level"], result["label"]) == (0, "sound")
    assert result["reasons"] == ["No damage was measured"]
    assert result["graded"] == []


def test_the_worst_figure_decides_and_is_told_first():
    result = graded({"max_width": {"value": 2, "unit": "px"}, "area_fraction": {"value": 0.06, "unit": "1"}}, score=1.2)
    assert result["level"] == 3
    assert result["reasons"] == [
        "Damaged share of the surface 6% reaches the step to serious (5%)",
        "Largest crack width 2\u00a0px reaches the step to slight (1\u00a0px)",
        "Anomaly score 1.2 reaches the step to slight (1)",
    ]


def test_a_score_alone_never_says_more_than_moderate():
    assert [graded(score=score)["level"] for score in (0, 0.99, 1, 2, 1000)] == [0, 0, 1, 2, 2]


def test_a_figure_that_could_not_be_measured_is_left_out():
    assert graded({"max_width": {"value": None, "unit": "px"}})["graded"] == []


def test_measures_without_a_rule_do_not_count():
    assert graded({"length": {"value": 1e6, "unit": "px"}, "count": {"value": 99, "unit": "1"}})["level"] == 0
    assert graded({"count": {"value": 99, "unit": "1"}}, count=(1, 10))["level"] == 2


def test_a_unit_without_steps_is_refused_instead_of_being_graded_wrongly():
    with pytest.raises(InputError, match=r"'max_width' comes in 'inch'.*mm, px"):
        graded({"max_width": {"value": 1, "unit": "inch"}})


def test_a_rule_without_steps_is_off():
    assert graded({"max_width": {"value": 9, "unit": "px"}}, width_mm=(), width_px=())["level"] == 0


@pytest.mark.parametrize("steps", [(3, 1), (1, 1), (1, 2, 3, 4, 5)])
def test_steps_that_do_not_rise_or_are_too_many_are_refused(steps):
    with pytest.raises(InputError, match="at most four rising numbers"):
        table(width_px=steps)
