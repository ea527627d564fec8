import logging

import numpy as np
import pytest

from tyqi_core.errors import ContractViolation
from tyqi_node_anomaly import nodes

ROW = {"height": 8, "width": 24, "boxes": [[0, 0, 8, 8], [8, 0, 16, 8], [16, 0, 24, 8]]}
OVERLAP = {"height": 4, "width": 12, "boxes": [[0, 0, 8, 4], [4, 0, 12, 4]]}


def graded(context, inputs, **params):
    return nodes.grade().process(inputs, context("grade", **params))["score"]


def painted(context, scores, grid, **params):
    return nodes.Map().process({"scores": scores, "grid": grid}, context("map", **params))["map"]


def test_without_a_finding_the_first_score_passes_unchanged(context):
    assert graded(context, {"score": 1.25, "finding": None}) == 1.25


def test_a_finding_counts_by_the_trust_put_into_it(context):
    inputs = {"score": 2.0, "finding": {"score": 0.5}}
    assert graded(context, inputs, trust=0) == 2.0
    assert graded(context, inputs, trust=1) == 0.5
    assert graded(context, inputs, trust=0.5) == 1.25


def test_every_tile_shows_its_score(context):
    anomaly = painted(context, [0.5, 1.0, 2.0], ROW)
    assert anomaly.shape == (8, 24)
    assert anomaly.dtype == np.float32
    assert [anomaly[3, x] for x in (3, 11, 19)] == [0.5, 1.0, 2.0]


def test_a_tile_without_score_is_left_at_zero_and_told_in_the_log(context, caplog):
    with caplog.at_level(logging.WARNING):
        anomaly = painted(context, [0.5, None, 2.0], ROW)
    assert anomaly[:, 8:16].max() == 0
    assert "1 of 3 tiles have no score" in caplog.text


def test_a_tile_without_score_leaves_its_overlap_to_the_neighbour(context):
    anomaly = painted(context, [None, 2.0], OVERLAP)
    assert (anomaly[:, 4:] == 2).all()
    assert (anomaly[:, :4] == 0).all()


def test_overlaps_blend_from_one_score_to_the_other_by_nearness(context):
    row = painted(context, [1.0, 3.0], OVERLAP)[1]
    assert row[0] == 1
    assert row[11] == 3
    assert (np.diff(row) >= 0).all()
    assert 1 < row[5] < row[6] < 3


def test_blend_max_takes_the_highest_score_of_an_overlap(context):
    row = painted(context, [3.0, 1.0], OVERLAP, blend="max")[0]
    assert row.tolist() == [3.0] * 8 + [1.0] * 4


def test_no_tiles_give_an_empty_map(context):
    assert not painted(context, [], {"height": 3, "width": 4, "boxes": []}).any()


def test_scores_that_do_not_match_the_grid_are_refused(context):
    with pytest.raises(ContractViolation, match="2 scores for 3 tiles"):
        painted(context, [1.0, 2.0], ROW)


@pytest.mark.parametrize("box", [[0, 0, 9, 25], [-1, 0, 4, 4], [4, 0, 4, 8]])
def test_a_box_outside_the_picture_is_refused(context, box):
    with pytest.raises(ContractViolation, match="GRID_MISMATCH"):
        painted(context, [1.0], {"height": 8, "width": 24, "boxes": [box]})
