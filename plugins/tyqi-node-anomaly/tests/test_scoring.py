import numpy as np
import pytest
import torch

from tyqi_core.errors import ContractViolation, TaskCancelled
from tyqi_core.node import LocalContext
from tyqi_node_anomaly import nodes
from tyqi_node_synth import drawing


def test_the_map_is_a_float_map_of_the_pictures_size_and_the_score_its_highest_value(score, wall):
    outputs = score(wall()).outputs
    assert outputs["map"].shape == (128, 128)
    assert outputs["map"].dtype == np.float32
    assert outputs["map"].flags.c_contiguous
    assert outputs["map"].min() >= 0
    assert outputs["score"] == outputs["map"].max()


@pytest.mark.parametrize("surface", ["brick", "gravel", "grass"])
def test_at_most_one_clean_wall_in_twelve_is_odd(score, wall, surface):
    assert sum(score(wall(surface, seed)).name == "odd" for seed in range(12)) <= 1


def test_every_wide_crack_in_brickwork_is_odd(score, spoilt):
    assert {score(spoilt("brick", seed)).name for seed in range(8)} == {"odd"}


@pytest.mark.parametrize("surface", ["brick", "gravel", "grass"])
def test_four_spalls_in_five_are_odd(score, wall, surface):
    rngs = [np.random.default_rng(seed) for seed in range(10)]
    spalls = [drawing.draw_spall(wall(surface, seed), rng, radius=(0.1, 0.18))[0] for seed, rng in enumerate(rngs)]
    assert sum(score(image).name == "odd" for image in spalls) >= 8


def test_the_threshold_decides_between_odd_and_fine(ready, spoilt):
    image = spoilt()
    strict, ctx = ready(nodes.Score, "score", threshold=0.0)
    assert strict.process({"image": image}, ctx).name == "odd"
    lax, ctx = ready(nodes.Score, "score", threshold=1000)
    assert lax.process({"image": image}, ctx).name == "fine"


def test_the_map_is_highest_on_the_defect(score, wall):
    image = wall("brick").copy()
    image[40:46, 20:100] = 15
    y, x = np.unravel_index(score(image).outputs["map"].argmax(), (128, 128))
    assert 34 <= y < 52
    assert 14 <= x < 106


@pytest.mark.parametrize("light", [(0.6, 0.6, 0.6), (1.3, 1.3, 1.3), (1.15, 1.0, 0.8), (0.8, 0.95, 1.1)])
@pytest.mark.parametrize("surface", ["brick", "gravel", "grass"])
def test_brightness_and_tint_of_the_light_do_not_make_a_surface_odd(score, wall, surface, light):
    image = wall(surface).astype(np.float32)
    image *= 0.6 * 255 / max(np.percentile(image, 99), 1)  # room for the brightest light
    lit = np.clip(np.rint(image * np.array(light)), 0, 255).astype(np.uint8)
    plain = score(image.astype(np.uint8)).outputs["score"]
    assert score(lit).name == "fine"
    assert score(lit).outputs["score"] == pytest.approx(plain, abs=0.25)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 5), (63, 64), (129, 200), (131, 67)])
def test_pictures_of_any_size_are_scored_also_those_smaller_than_what_the_network_sees(ready, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    scorer, ctx = ready(nodes.Score, "score")
    assert scorer.process({"image": image}, ctx).outputs["map"].shape == size
    refiner, ctx = ready(nodes.Refine, "refine")
    assert refiner.process({"image": image}, ctx)["finding"]["score"] >= 0


@pytest.mark.parametrize("level", [0, 127, 255])
def test_a_picture_of_one_colour_gives_a_finite_score(score, level):
    assert np.isfinite(score(np.full((64, 64, 3), level, np.uint8)).outputs["map"]).all()


def test_a_picture_too_large_for_one_piece_is_refused_with_the_way_out(ready):
    scorer, ctx = ready(nodes.Score, "score")
    image = np.zeros((2049, 2048, 3), np.uint8)
    with pytest.raises(ContractViolation, match=r"IMAGE_TOO_LARGE.*image\.tiles"):
        scorer.process({"image": image}, ctx)


def test_a_read_only_picture_is_scored_and_left_as_it_was(score, wall):
    image = wall()
    before = image.copy()
    image.setflags(write=False)
    score(image)
    assert np.array_equal(image, before)


def test_a_batch_gives_bit_for_bit_what_single_calls_give(ready, wall):
    scorer, ctx = ready(nodes.Score, "score")
    items = [{"image": wall("grass", seed, size)} for seed, size in enumerate([128, 128, 96, 128, 96])]
    for alone, together in zip(
        (scorer.process(item, ctx) for item in items), scorer.process_batch(items, [ctx] * len(items)), strict=True
    ):
        assert together.name == alone.name
        assert together.outputs["score"] == alone.outputs["score"]
        assert np.array_equal(together.outputs["map"], alone.outputs["map"])


def test_one_unusable_picture_of_a_batch_does_not_take_the_others_along(ready, wall):
    scorer, ctx = ready(nodes.Score, "score")
    items = [{"image": wall()}, {"image": np.zeros((2049, 2048, 3), np.uint8)}, {"image": wall(seed=1)}]
    first, second, third = scorer.process_batch(items, [ctx] * 3)
    assert first.name == third.name == "fine"
    assert isinstance(second, ContractViolation)


def test_each_item_of_a_batch_is_judged_by_its_own_threshold(ready, wall):
    scorer, ctx = ready(nodes.Score, "score")
    strict = LocalContext(params={**ctx.params, "threshold": 0.0})
    outcomes = scorer.process_batch([{"image": wall()}] * 2, [ctx, strict])
    assert [outcome.name for outcome in outcomes] == ["fine", "odd"]


def test_an_empty_batch_gives_an_empty_list(ready):
    scorer, _ = ready(nodes.Score, "score")
    assert scorer.process_batch([], []) == []


def test_scoring_leaves_the_processs_random_generator_and_gradient_mode_alone(ready, wall):
    before = torch.random.get_rng_state()
    scorer, ctx = ready(nodes.Score, "score")
    scorer.process({"image": wall()}, ctx)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.is_grad_enabled()


def test_the_second_look_describes_the_defect(ready, wall):
    refiner, ctx = ready(nodes.Refine, "refine")
    image = wall("brick").copy()
    image[40:48, 30:100] = 15
    finding = refiner.process({"image": image}, ctx)["finding"]
    assert finding["score"] > 1
    assert finding["agreement"] > 0.5
    x0, y0, x1, y1 = finding["box"]
    assert x0 <= finding["peak"][0] < x1
    assert y0 <= finding["peak"][1] < y1
    assert 0 < finding["area_px"] <= (x1 - x0) * (y1 - y0)


def test_the_second_look_at_a_clean_surface_finds_no_place(ready, wall):
    refiner, ctx = ready(nodes.Refine, "refine")
    finding = refiner.process({"image": wall("brick")}, ctx)["finding"]
    assert finding["score"] < 1
    assert finding["area_px"] == 0
    assert finding["box"] is None


def test_the_second_look_stops_between_views_once_the_task_is_cancelled(ready, wall):
    refiner, ctx = ready(nodes.Refine, "refine")
    ctx.cancelled = True
    with pytest.raises(TaskCancelled):
        refiner.process({"image": wall()}, ctx)
