import cv2
import numpy as np
import pytest

from tyqi_core.errors import InputError
from tyqi_core.node import LocalContext
from tyqi_core.protocol.ports import PortType, checker
from tyqi_node_align.nodes import Register
from tyqi_node_align.registration import Settings, coverage, register, warped


@pytest.fixture
def run(params_of):
    def registered(image, reference, **params):
        context = LocalContext(params=params_of("register", **params))
        return Register().process({"image": image, "reference": reference}, context)

    return registered


@pytest.mark.parametrize("name", ["brick", "grass", "gravel", "coins", "moon", "text"])
@pytest.mark.parametrize("features", ["orb", "sift"])
def test_a_view_is_aligned_to_a_fraction_of_a_pixel_in_spite_of_light_and_noise(
    run, views, error_of_view, pictures, *, name, features
):
    seen, reference, true = views(pictures[name], seed=4)
    outputs = run(seen, reference, features=features)
    median, largest = error_of_view(outputs["transform"], true, seen.shape)
    assert median < 0.15
    assert largest < 0.6
    assert outputs["measurements"]["correlation"]["value"] > 0.95
    assert outputs["measurements"]["refined"]["value"] == 1


def test_refinement_on_the_grey_values_is_what_makes_it_exact(views, error_of_view, pictures):
    seen, reference, true = views(pictures["grass"], seed=1)
    rough = register(seen, reference, Settings(refine=False))
    exact = register(seen, reference, Settings(refine=True))
    errors = [error_of_view(found.transform, true, seen.shape)[0] for found in (rough, exact)]
    assert errors[1] < errors[0] / 4
    assert (rough.refined, exact.refined) == (False, True)


def test_the_warped_picture_looks_like_the_reference(run, views, pictures):
    seen, reference, _ = views(pictures["coffee"], seed=2, noise=1)
    image = run(seen, reference)["image"]
    assert image.shape == reference.shape
    covered = image.any(axis=2)
    before = np.corrcoef(seen[covered].ravel(), reference[covered].ravel())[0, 1]
    after = np.corrcoef(image[covered].ravel(), reference[covered].ravel())[0, 1]
    assert before < 0.8
    assert after > 0.98


def test_a_change_in_the_scene_neither_bends_the_alignment_nor_goes_unreported(run, views, error_of_view, pictures):
    seen, reference, true = views(pictures["gravel"], seed=3)
    changed = seen.copy()
    changed[60:160, 80:200] = 15
    clean, outputs = run(seen, reference), run(changed, reference)
    assert error_of_view(outputs["transform"], true, seen.shape)[0] < 0.1
    assert outputs["measurements"]["unchanged"]["value"] < clean["measurements"]["unchanged"]["value"] - 0.05


def test_the_black_rim_of_a_picture_that_was_warped_before_does_not_pull_the_alignment(run, error_of_view, pictures):
    reference = pictures["moon"]
    to_view = cv2.getRotationMatrix2D((250, 250), 20, 1.0)
    seen = cv2.warpAffine(reference, to_view, (512, 512), flags=cv2.INTER_CUBIC)
    true = np.linalg.inv(np.vstack([to_view, [0, 0, 1]]))
    assert error_of_view(run(seen, reference)["transform"], true, seen.shape)[0] < 0.1


def test_the_affine_model_gives_an_affine_matrix(run, views, error_of_view, pictures):
    image = pictures["brick"]
    to_view = cv2.getRotationMatrix2D((256, 256), -12, 0.9)
    seen = cv2.warpAffine(image, to_view, (512, 512), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    outputs = run(seen, image, model="affine")
    assert outputs["transform"][2] == [0, 0, 1]
    true = np.linalg.inv(np.vstack([to_view, [0, 0, 1]]))
    assert error_of_view(outputs["transform"], true, seen.shape)[0] < 0.1


def test_work_size_changes_the_effort_but_not_the_coordinates(run, error_of_view, pictures):
    image = cv2.resize(pictures["gravel"], (1600, 1600), interpolation=cv2.INTER_CUBIC)
    to_view = cv2.getRotationMatrix2D((700, 700), 8, 1.1)
    seen = cv2.warpAffine(image, to_view, (1200, 1300), flags=cv2.INTER_CUBIC)
    true = np.linalg.inv(np.vstack([to_view, [0, 0, 1]]))
    for work_size in (400, 1024, 2000):
        outputs = run(seen, image, work_size=work_size)
        assert error_of_view(outputs["transform"], true, seen.shape)[0] < 0.3
        assert outputs["image"].shape == image.shape


def test_the_sizes_may_differ_and_the_reference_may_be_grey(run, pictures):
    reference = np.ascontiguousarray(pictures["astronaut"][..., 1])
    part = np.ascontiguousarray(pictures["astronaut"][100:400, 50:450])
    outputs = run(part, reference)
    assert np.allclose(outputs["transform"], [[1, 0, 50], [0, 1, 100], [0, 0, 1]], atol=0.05)
    assert outputs["image"].shape == (512, 512, 3)
    assert outputs["measurements"]["coverage"]["value"] == pytest.approx(300 * 400 / 512**2, abs=0.01)
    assert outputs["measurements"]["residual"]["unit"] == "px"


@pytest.mark.parametrize("features", ["orb", "sift"])
@pytest.mark.parametrize(("name", "other"), [("brick", "coins"), ("astronaut", "grass"), ("page", "text")])
def test_pictures_of_different_things_are_refused(run, pictures, name, other, features):
    with pytest.raises(InputError) as caught:
        run(pictures[name], pictures[other], features=features)
    assert caught.value.code in {"TOO_FEW_MATCHES", "NOT_REGISTERED"}
    assert "same place" in caught.value.remedy


def test_matches_of_a_repeated_patch_are_not_enough_where_the_rest_differs(run, pictures):
    grass = pictures["grass"]  # its two halves hold some copied stems: many matches agree, and yet it is another place
    with pytest.raises(InputError, match="correlate with only") as caught:
        run(np.ascontiguousarray(grass[:, :256]), np.ascontiguousarray(grass[:, 256:]), features="sift")
    assert caught.value.code == "NOT_REGISTERED"


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (40, 40), (600, 800)])
def test_pictures_without_structure_are_refused_whatever_their_size(run, read_only, pictures, shape):
    plain = read_only(np.full((*shape, 3), 128, np.uint8))
    for pair in ((plain, pictures["brick"]), (pictures["brick"], plain), (plain, plain)):
        with pytest.raises(InputError) as caught:
            run(*pair)
        assert caught.value.code == "TOO_FEW_MATCHES"


def test_a_mirrored_picture_is_refused(run, pictures):
    with pytest.raises(InputError):
        run(np.ascontiguousarray(pictures["page"][:, ::-1]), pictures["page"])


def test_a_side_beyond_what_warps_can_address_is_refused_by_name(run, read_only, pictures):
    with pytest.raises(InputError) as caught:
        run(read_only(np.zeros((2, 40_000, 3), np.uint8)), pictures["brick"])
    assert caught.value.code == "IMAGE_TOO_LARGE"


def test_outputs_fit_their_ports_repeat_and_leave_the_inputs_alone(run, views, manifest_of, pictures):
    seen, reference, _ = views(pictures["chelsea"], seed=5)
    before = seen.copy(), reference.copy()
    first, second = run(seen, reference), run(seen, reference)
    for name, declaration in manifest_of("register")["outputs"].items():
        assert checker(PortType.parse(declaration))(first[name]) is None
    assert np.array_equal(first["image"], second["image"])
    assert first["transform"] == second["transform"]
    assert first["measurements"] == second["measurements"]
    assert np.array_equal(seen, before[0])
    assert np.array_equal(reference, before[1])


def test_coverage_is_the_common_part_of_the_reference():
    half = np.array([[1, 0, 50], [0, 1, 0], [0, 0, 1]], float)
    assert coverage(half, (80, 100), (80, 100)) == pytest.approx(0.5)
    assert coverage(np.eye(3), (80, 100), (80, 100)) == pytest.approx(1)


def test_what_the_picture_does_not_cover_is_black():
    shifted = warped(np.full((20, 20, 3), 9, np.uint8), np.array([[1, 0, 10], [0, 1, 0], [0, 0, 1]], float), (20, 20))
    assert not shifted[:, :10].any()
    assert (shifted[:, 10:] == 9).all()
