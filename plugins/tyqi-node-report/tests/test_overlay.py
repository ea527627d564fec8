import numpy as np
import pytest

from tyqi_core.errors import ContractViolation
from tyqi_node_report.overlay import BOX_COLOUR, MASK_COLOURS, annotated, closeup, round_length, worst_place


def wall(height=200, width=240, level=120):
    picture = np.full((height, width, 3), level, np.uint8)
    picture.setflags(write=False)
    return picture


def a_mask(height=200, width=240, boxes=((80, 60, 120, 140),), label=255):
    mask = np.zeros((height, width), np.uint8)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = label
    mask.setflags(write=False)
    return mask


def an_anomaly(peak):
    y, x = np.indices((200, 240), dtype=np.float32)
    return (peak * np.exp(-((x - 60) ** 2 + (y - 50) ** 2) / 800)).astype(np.float32)


def has_colour(picture, colour):
    """Whether some pixels have about this colour; smooth lines mix it with what is around them."""
    return bool((np.abs(picture.astype(int) - colour).max(axis=2) < 40).any())


def test_without_findings_the_picture_comes_back_unchanged_as_a_new_one():
    picture = wall()
    drawn = annotated(picture)
    assert np.array_equal(drawn, picture)
    assert drawn is not picture
    assert drawn.flags.writeable


def test_a_mask_is_outlined_around_the_defect_which_stays_in_view():
    drawn = annotated(wall(), a_mask())
    assert has_colour(drawn, MASK_COLOURS[0])
    assert (drawn[60:140, 80:120] == 120).all()
    assert (drawn[:40] == 120).all()


def test_each_label_of_a_mask_has_a_colour_of_its_own():
    mask = np.maximum(a_mask(label=1), a_mask(boxes=((150, 20, 180, 50),), label=7))
    drawn = annotated(wall(), mask)
    assert has_colour(drawn, MASK_COLOURS[0])
    assert has_colour(drawn, MASK_COLOURS[1])


def test_heat_glows_where_the_map_is_high_only():
    drawn = annotated(wall(), anomaly=an_anomaly(2.0)).astype(int)
    assert abs(drawn[50, 60] - 120).sum() > 30
    assert (drawn[150:, 150:] == 120).all()


def test_a_map_below_the_level_leaves_no_mark():
    assert np.array_equal(annotated(wall(), anomaly=an_anomaly(0.5)), wall())


@pytest.mark.parametrize("box", [[20, 30, 60, 80], [0, 0, 240, 200], [230, 190, 240, 200], [5.4, 0.2, 9.8, 6.0]])
def test_boxes_are_drawn_with_a_label_inside_the_picture(box):
    drawn = annotated(wall(), detections=[{"box": box, "score": 0.83, "label": "dark blob"}])
    assert has_colour(drawn, BOX_COLOUR)
    plate = (drawn == np.array(BOX_COLOUR, np.uint8)).all(axis=2)
    assert plate.sum() > 300


def test_a_mask_or_map_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(ContractViolation, match="mask is 100 x 50 px, the picture 240 x 200 px"):
        annotated(wall(), a_mask(50, 100, ()))
    with pytest.raises(ContractViolation, match="anomaly map is 10 x 10 px"):
        annotated(wall(), anomaly=np.zeros((10, 10), np.float32))
    with pytest.raises(ContractViolation, match="mask is 100 x 50 px"):
        closeup(wall(), a_mask(50, 100, ()))


def test_the_worst_place_is_where_the_mask_is_widest():
    x, y, width = worst_place(a_mask(boxes=((10, 10, 14, 190), (150, 100, 170, 160))))
    assert 155 <= x < 165
    assert 105 <= y < 155
    assert 18 <= width <= 22


def test_a_defect_at_the_edge_counts_up_to_the_edge_only():
    x, y, _ = worst_place(a_mask(boxes=((0, 0, 6, 200), (100, 100, 110, 110))))
    assert (100 <= x < 110, 100 <= y < 110) == (True, True)


def test_a_closeup_shows_the_worst_place_enlarged():
    picture = wall().copy()
    picture[100:110, 200:210] = (250, 10, 10)
    enlarged = closeup(picture, a_mask(boxes=((200, 100, 210, 110), (10, 10, 12, 190))), side=40, output=320)
    assert enlarged.shape == (320, 320, 3)
    red = (enlarged[..., 0] > 200) & (enlarged[..., 1] < 60)
    assert 0.7 * 80 * 80 < red.sum() < 1.2 * 80 * 80


def test_a_closeup_grows_with_a_wide_defect_and_stays_inside_a_small_picture():
    narrow = closeup(wall(), a_mask(boxes=((20, 20, 180, 180),)), side=32, output=128)
    assert has_colour(narrow, MASK_COLOURS[0]), "the outline is in view"
    assert closeup(wall(20, 30), a_mask(20, 30, ((3, 3, 6, 6),)), side=64, output=128).shape == (128, 128, 3)


def test_an_empty_mask_shows_the_middle_of_the_picture():
    picture = wall().copy()
    picture[95:105, 115:125] = 250
    enlarged = closeup(picture, a_mask(boxes=()), side=40, output=200)
    assert enlarged[100, 100].tolist() == [250, 250, 250]


def bar_length(**options):
    """Length (px) of the white bar in the lower left corner."""
    enlarged = closeup(wall(level=90), a_mask(boxes=()), side=100, output=500, **options)
    white = (enlarged[400:, :300] == 255).all(axis=2)
    return int(white.sum(axis=1).max())


def test_the_scale_bar_is_as_long_as_it_says():
    assert bar_length() == 100  # 20 px, enlarged five times: the largest round length below 0.3 of the picture
    assert bar_length(mm_per_px=0.5) == 100  # 10 mm are 20 px
    assert bar_length(mm_per_px=0.7) == 143  # 20 mm are 28.6 px
    assert bar_length(mm_per_px=0.01) == 100  # 0.2 mm are 20 px


@pytest.mark.parametrize(("limit", "length"), [(30, 20), (9.99, 5), (10, 10), (0.3, 0.2), (1, 1), (4999, 2000)])
def test_scale_bars_have_round_lengths(limit, length):
    assert round_length(limit) == pytest.approx(length)
