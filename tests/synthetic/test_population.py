"""Drawn faces and scenes: the same bytes from the same seed, exact landmarks, and labels that fit the pictures."""

from dataclasses import replace

import numpy as np
import pytest

from fer_bench.errors import SpecError
from fer_bench.labels import EMO8, EMO24_TO_EMO8, FER7, FER8
from fer_bench.protocols.synthetic import SYNTHFACES, SYNTHSCENES, SceneConfig, SynthConfig
from fer_bench.synthetic.face_model import (
    ACTION_UNITS,
    BACKGROUNDS,
    BEARDS,
    GLASSES,
    HAIR_STYLES,
    OCCLUDERS,
    FaceParams,
    Identity,
)
from fer_bench.synthetic.identities import (
    EMO8_OF,
    EXPRESSIONS,
    VALENCE_AROUSAL,
    action_of,
    draw_identity,
    draw_prototypes,
    seen_as,
)
from fer_bench.synthetic.population import SPLITS, draw_sample, generate
from fer_bench.synthetic.renderer import draw_face
from fer_bench.synthetic.scenes import draw_scene, generate_scenes
from fer_bench.synthetic.strokes import smooth

CONFIG = SynthConfig(n_train=240, n_validation=60, n_test=123, seed=3)


@pytest.fixture(scope="module")
def faces():
    return generate(CONFIG)


def face(units=None, **settings):
    """Picture and landmarks of the standard face without noise."""
    action = tuple(float((units or {}).get(unit, 0.0)) for unit in ACTION_UNITS)
    return draw_face(FaceParams(action=action, **settings), 192, np.random.default_rng(0))


def same(a, b, fields):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in fields)


LABELS = ("fer7", "fer8", "emo8", "emo24", "arousal3", "valence3", "identity", "clip", "frame")


# --- determinism


def test_same_seed_gives_the_same_bytes_whatever_was_drawn_before(faces):
    few = CONFIG.model_copy(update={"n_train": 60, "n_validation": 20, "n_test": 20})
    first, one = generate(few), draw_sample(CONFIG, 77)
    for _ in range(3):
        draw_sample(CONFIG.model_copy(update={"seed": 9}), 5)
    again = generate(few)
    assert again.images.tobytes() == first.images.tobytes()
    assert again.landmarks.tobytes() == first.landmarks.tobytes()
    assert again.votes.tobytes() == first.votes.tobytes()
    assert same(again, first, LABELS)
    assert one.image.tobytes() == faces.images[77].tobytes()


def test_a_sample_alone_equals_the_one_in_the_batch(faces):
    for index in (422, 0, 239, 240, 300, 61):
        sample = draw_sample(CONFIG, index)
        assert np.array_equal(sample.image, faces.images[index])
        assert np.array_equal(sample.landmarks, faces.landmarks[index])
        assert np.array_equal(sample.votes, faces.votes[index])
        assert sample.split == faces.split[index]
        assert [getattr(sample, name) for name in LABELS] == [getattr(faces, name)[index] for name in LABELS]
        assert np.float32(sample.valence) == faces.valence[index]
        assert np.float32(sample.arousal) == faces.arousal[index]


def test_another_seed_gives_other_faces_and_a_longer_split_the_same(faces):
    other = generate(SynthConfig(n_train=10, n_validation=0, n_test=0, seed=4))
    assert not any(np.array_equal(a, b) for a, b in zip(other.images, faces.images[:10], strict=True))
    shorter = generate(CONFIG.model_copy(update={"n_train": 20, "n_validation": 7, "n_test": 5}))
    assert np.array_equal(shorter.images[:20], faces.images[:20])
    assert np.array_equal(shorter.images[20:27], faces.images[240:247])
    assert np.array_equal(shorter.images[27:], faces.images[300:305])


def test_frames_of_a_clip_differ_but_show_one_person(faces):
    first = faces.images[faces.clip == 0]
    assert len({image.tobytes() for image in first}) == len(first)
    means = np.stack([faces.images[faces.clip == clip].mean(axis=0) for clip in range(40)])
    within = np.abs(faces.images[:200] - means[faces.clip[:200]]).mean()
    between = np.abs(faces.images[:200] - np.roll(means, 7, axis=0)[faces.clip[:200]]).mean()
    assert within < 0.5 * between


# --- labels


def test_shapes_types_and_ranges(faces):
    n = 240 + 60 + 123
    assert len(faces) == n
    assert faces.images.shape == (n, 48, 48)
    assert faces.images.dtype == np.uint8
    assert faces.landmarks.shape == (n, 68, 2)
    assert faces.landmarks.dtype == np.float32
    assert faces.split.tolist() == ["train"] * 240 + ["validation"] * 60 + ["test"] * 123
    for name, classes in (("fer8", 8), ("emo8", 8), ("emo24", 24), ("arousal3", 3), ("valence3", 3)):
        ids = getattr(faces, name)
        assert ids.dtype == np.int64
        assert ids.min() >= 0
        assert ids.max() < classes
    for name in ("valence", "arousal"):
        values = getattr(faces, name)
        assert values.dtype == np.float32
        assert np.abs(values).max() <= 1
        assert values.std() > 0.2


def test_label_sets_agree_with_one_another(faces):
    contempt = faces.fer8 == FER8.index("contempt")
    assert np.array_equal(faces.fer7 == -1, contempt)
    for name in FER7.names:
        assert np.array_equal(faces.fer7 == FER7.index(name), faces.fer8 == FER8.index(name))
    assert np.array_equal(np.array(EMO24_TO_EMO8)[faces.emo24], faces.emo8)
    assert np.array_equal(faces.emo8 == EMO8.index("joy"), faces.fer8 == FER8.index("happiness"))
    assert set(faces.emo8[faces.fer8 == FER8.index("neutral")]) == {EMO8.index("trust"), EMO8.index("anticipation")}
    assert faces.valence[faces.fer8 == FER8.index("happiness")].mean() > 0.4
    assert faces.valence[faces.fer8 == FER8.index("sadness")].mean() < -0.3
    assert np.array_equal(faces.valence3, np.digitize(faces.valence, [-0.2, 0.2]))
    assert np.array_equal(faces.arousal3, np.digitize(faces.arousal, [0.0, 0.4]))
    strongest = faces.intensity[faces.emo24 % 3 == 0]
    weakest = faces.intensity[faces.emo24 % 3 == 2]
    assert strongest.min() > weakest.max()


def test_no_person_and_no_clip_is_in_two_splits(faces):
    for field in (faces.identity, faces.clip):
        sets = [set(field[faces.split == split]) for split in SPLITS]
        assert len(set.union(*sets)) == sum(len(one) for one in sets)
    assert all(len(set(faces.identity[faces.clip == clip])) == 1 for clip in set(faces.clip))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_all_classes_are_in_all_splits_and_mildly_unbalanced(seed, monkeypatch):
    # The labels are drawn whatever the pictures are, which take nearly all of the time.
    blank = np.zeros((48, 48, 3), dtype=np.uint8), np.zeros((68, 2), dtype=np.float32)
    monkeypatch.setattr("fer_bench.synthetic.population.draw_face", lambda *_: blank)
    labels = np.array(
        [
            draw_sample(SynthConfig(n_train=100, n_validation=100, n_test=100, seed=seed), index).fer8
            for index in range(300)
        ]
    ).reshape(3, 100)
    for split in labels:
        assert set(split) == set(range(8))
    shares = np.bincount(labels.ravel(), minlength=8) / 300
    assert shares.max() < 0.4
    assert shares.max() > 2 * shares.min()


def test_votes_sum_to_ten_and_mostly_agree_with_the_label(faces):
    assert faces.votes.min() >= 0
    assert np.array_equal(faces.votes.sum(axis=1), np.full(len(faces), 10))
    agreement = faces.votes[np.arange(len(faces)), faces.fer8] / 10
    assert 0.5 < agreement.mean() < 0.9
    for k in range(8):
        assert faces.votes[faces.fer8 == k].mean(axis=0).argmax() == k
    majority = faces.votes[:, :8].argmax(axis=1)
    assert 0.85 < (majority == faces.fer8).mean() < 1
    weak = faces.intensity < np.median(faces.intensity)
    shown = faces.fer8 > 0
    assert agreement[shown & weak].mean() < agreement[shown & ~weak].mean()


def test_taggers_are_surer_of_strong_expressions():
    strong, weak = np.zeros(10), np.zeros(10)
    strong[1], weak[1] = 1.0, 0.3
    for strengths in (strong, weak):
        assert seen_as(strengths, 0.0).sum() == pytest.approx(1)
        assert seen_as(strengths, 0.5).sum() == pytest.approx(1)
    assert seen_as(strong, 0.0)[1] > seen_as(weak, 0.0)[1]
    assert seen_as(strong, 0.5)[8] > seen_as(strong, 0.0)[8]
    assert seen_as(np.zeros(10), 0.0).argmax() == 0


def test_tables_cover_all_expressions():
    assert EXPRESSIONS[:8] == FER8.names
    assert VALENCE_AROUSAL.shape == (len(EXPRESSIONS), 2)
    assert np.abs(VALENCE_AROUSAL).max() <= 1
    assert set(EMO8_OF) == set(range(8))


def test_difficulty_weakens_expressions_and_spoils_pictures():
    easy, hard = (generate(SynthConfig(n_train=100, n_validation=0, n_test=0, difficulty=d)) for d in (0.0, 1.0))
    assert easy.intensity[easy.fer8 > 0].mean() > hard.intensity[hard.fer8 > 0].mean() + 0.1
    shift = [np.ptp(f.landmarks.mean(axis=1), axis=0).sum() for f in (easy, hard)]
    assert shift[0] < shift[1]


def test_an_empty_split_and_an_impossible_one():
    none = generate(SynthConfig(n_train=0, n_validation=0, n_test=0))
    assert none.images.shape == (0, 48, 48)
    assert none.votes.shape == (0, 10)
    with pytest.raises(IndexError, match="no sample 423"):
        draw_sample(CONFIG, 423)
    with pytest.raises(IndexError):
        draw_sample(CONFIG, -1)
    for wrong in ({"n_train": -1}, {"size": 8}, {"seed": -1}, {"difficulty": 1.5}):
        with pytest.raises(SpecError, match=next(iter(wrong)).removeprefix("n_")):
            SYNTHFACES.read_options(wrong)


# --- landmarks


def test_landmarks_are_in_ibug_order():
    _, p = face()
    assert p.shape == (68, 2)
    assert np.all((p > 0) & (p < 192))
    assert np.all(np.diff(p[1:16, 0]) > 0)
    assert p[8, 1] == p[:, 1].max()
    for brow in (p[17:22], p[22:27], p[31:36], p[48:55]):
        assert np.all(np.diff(brow[:, 0]) > 0)
    assert np.all(np.diff(p[27:31, 1]) > 0)
    for eye in (p[36:42], p[42:48]):
        assert eye[0, 0] == eye[:, 0].min()
        assert eye[3, 0] == eye[:, 0].max()
        assert eye[[1, 2], 1].max() < eye[[4, 5], 1].min()
        assert eye[1, 0] < eye[2, 0]
        assert eye[4, 0] > eye[5, 0]
    assert p[37, 1] > p[19, 1]
    assert p[51, 1] < p[62, 1] <= p[66, 1] < p[57, 1]
    mirror = [*range(16, -1, -1), *range(26, 16, -1)]
    assert np.allclose(p[mirror, 0], 192 - p[:27, 0], atol=1e-3)
    assert np.allclose(p[[45, 44, 43, 42, 47, 46], 0], 192 - p[36:42, 0], atol=1e-3)


def test_landmarks_lie_on_what_is_drawn():
    image, p = face({25: 1.0, 26: 0.8}, light_strength=0.0, gaze=(0.0, 0.0))
    grey = image.astype(int).sum(axis=2)

    def at(point, radius=2):
        x, y = np.rint(point - 0.5).astype(int)
        return grey[y - radius : y + radius + 1, x - radius : x + radius + 1]

    skin = at(p[[31, 48]].mean(axis=0) - np.array([14, 0])).mean()
    for eye in (p[36:42], p[42:48]):
        assert at(eye.mean(axis=0), 1).mean() < 0.5 * skin
    for brow in (p[19], p[24]):
        assert at(brow).min() < 0.5 * skin
    assert at(p[60:68].mean(axis=0)).min() < 0.5 * skin
    for side in (0, 16):
        outside = p[side] + np.array([-26 if side == 0 else 26, 0])
        assert abs(at(outside).mean() - at(p[27]).mean()) > 60


@pytest.mark.parametrize(
    "turn", [{"roll": 20.0}, {"yaw": 15.0}, {"pitch": 10.0}, {"scale": 0.8}, {"shift": (0.1, -0.05)}]
)
def test_landmarks_follow_the_head(turn):
    """The centre of the iris, found in the picture, moves with the eye's landmarks."""
    for settings in ({}, turn):
        image, p = face({5: 0.6}, light_strength=0.0, **settings)
        for eye in (p[36:42], p[42:48]):
            x, y = eye.mean(axis=0)
            window = image[int(y) - 9 : int(y) + 10, int(x) - 9 : int(x) + 10].astype(int).sum(axis=2)
            rows, columns = np.nonzero(window < 250)
            assert abs(columns.mean() - 9) < 2.5
            assert abs(rows.mean() - 9) < 3.5


def test_action_units_move_what_they_should():
    _, rest = face()

    def moved(units, **settings):
        return face(units, **settings)[1] - rest

    smile = moved({12: 1.0})
    assert np.all(smile[[48, 54], 1] < -5)
    assert smile[48, 0] < -3
    assert smile[54, 0] > 3
    assert np.all(moved({15: 1.0})[[48, 54], 1] > 4)
    inner = moved({1: 1.0})
    assert inner[21, 1] < inner[17, 1] - 3
    outer = moved({2: 1.0})
    assert outer[17, 1] < outer[21, 1] - 3
    frown = moved({4: 1.0})
    assert np.all(frown[[21, 22], 1] > 4)
    assert frown[21, 0] > 1
    assert frown[22, 0] < -1
    assert np.all(moved({5: 1.0})[[37, 38, 43, 44], 1] < -2)
    assert np.all(moved({43: 1.0})[[37, 38, 43, 44], 1] > 3)
    assert np.all(moved({7: 1.0})[[40, 41, 46, 47], 1] < -0.5)
    drop = moved({25: 1.0, 26: 1.0})
    assert drop[8, 1] > 8
    assert drop[66, 1] - drop[62, 1] > 10
    assert np.all(moved({9: 1.0})[31:36, 1] < -2)
    assert np.all(moved({10: 1.0})[50:53, 1] < -2)
    assert moved({20: 1.0})[54, 0] > 3
    thickness = moved({23: 1.0})
    assert thickness[57, 1] - thickness[66, 1] < -1
    sneer = moved({12: 1.0}, asymmetry=1.0)
    assert sneer[54, 1] < -5
    assert abs(sneer[48, 1]) < 1


def test_every_style_is_drawn_and_looks_different():
    rng = np.random.default_rng
    base = FaceParams(identity=Identity(hair_style="short"))
    choices = {
        "hair_style": HAIR_STYLES,
        "beard": BEARDS,
        "glasses": GLASSES,
    }
    for name, options in choices.items():
        pictures = [
            draw_face(replace(base, identity=replace(base.identity, **{name: option})), 64, rng(0))[0]
            for option in options
        ]
        assert len({picture.tobytes() for picture in pictures}) == len(options)
    for name, options in {"occluder": OCCLUDERS, "background": BACKGROUNDS}.items():
        pictures = [
            draw_face(replace(base, occluder_at=(0.3, 0.4), **{name: option}), 64, rng(0))[0] for option in options
        ]
        assert len({picture.tobytes() for picture in pictures}) == len(options)


def test_the_picture_has_the_same_layout_at_every_size():
    small, p = draw_face(FaceParams(), 48, np.random.default_rng(0))
    large, q = draw_face(FaceParams(), 224, np.random.default_rng(0))
    assert small.shape == (48, 48, 3)
    assert large.shape == (224, 224, 3)
    assert np.allclose(p * 224 / 48, q, atol=0.01)


def test_camera_settings_change_the_picture_as_named():
    plain, _ = face()
    assert face(brightness=1.2)[0].mean() > plain.mean() + 10
    assert face(contrast=0.6)[0].std() < 0.8 * plain.std()
    noisy, blurred = face(noise=12.0)[0], face(blur=0.02)[0]
    assert 6 < (noisy.astype(int) - plain).std() < 14
    assert np.abs(np.diff(blurred.astype(int), axis=1)).mean() < 0.8 * np.abs(np.diff(plain.astype(int), axis=1)).mean()
    left, right = face(light_strength=1.0, light_angle=180.0)[0], face(light_strength=1.0, light_angle=0.0)[0]
    assert left[:, 60:90].mean() > right[:, 60:90].mean() + 15
    assert right[:, 102:132].mean() > left[:, 102:132].mean() + 15


def test_people_differ_and_action_units_stay_in_range():
    people = [draw_identity(np.random.default_rng(i)) for i in range(200)]
    assert len(set(people)) == 200
    assert {p.hair_style for p in people} == set(HAIR_STYLES)
    assert {p.beard for p in people} == set(BEARDS)
    assert {p.glasses for p in people} == set(GLASSES)
    for i, person in enumerate(people[:40]):
        action = action_of(np.full(10, 0.5), draw_prototypes(np.random.default_rng(i)), person)
        assert min(action) >= 0
        assert max(action) <= 1


def test_smooth_passes_through_its_knots():
    knots = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0], [4.0, 5.0]])
    assert np.allclose(smooth(knots, 4)[::4], knots)
    assert np.allclose(smooth(knots, 4, closed=True)[::4], knots)
    assert np.allclose(smooth(np.stack([knots, 2 * knots]), 4)[1], 2 * smooth(knots, 4))


# --- scenes

SCENES = SceneConfig(n_train=30, n_validation=6, n_test=12, seed=1)


def test_scenes_are_deterministic_and_their_labels_known_beforehand():
    scenes = generate_scenes(SCENES)
    assert len(scenes) == 48
    for index in (0, 31, 47):
        scene, again = scenes.draw(index), draw_scene(index, SCENES)
        assert scene.image.tobytes() == again.image.tobytes()
        assert scene.boxes.tobytes() == again.boxes.tobytes()
        assert scene.image.shape == (300, 400, 3)
        assert scene.image.dtype == np.uint8
        assert scene.labels.split == scenes.split[index]
        assert scene.labels.emo24 == scenes.emo24[index]
        assert scene.labels.valence == scenes.valence[index]
        assert len(scene.labels.expressions) == scenes.people[index]
    other = draw_scene(0, SCENES.model_copy(update={"seed": 2}))
    assert other.image.tobytes() != draw_scene(0, SCENES).image.tobytes()
    assert (
        draw_scene(30, SCENES).image.tobytes()
        == draw_scene(5, SCENES.model_copy(update={"n_train": 5})).image.tobytes()
    )
    with pytest.raises(IndexError):
        draw_scene(48, SCENES)
    with pytest.raises(SpecError, match="width = 10"):
        SYNTHSCENES.read_options({"width": 10})


def test_scene_labels_have_the_ranges_of_findingemo_and_follow_the_faces():
    scenes = generate_scenes(SceneConfig(n_train=900, n_validation=50, n_test=50))
    assert set(scenes.valence) == set(range(-3, 4))
    assert set(scenes.arousal) <= set(range(7))
    assert set(scenes.ambiguity) <= set(range(7))
    assert set(scenes.people) == {1, 2, 3, 4, 5}
    assert set(scenes.emo24) == set(range(24))
    assert np.array_equal(np.array(EMO24_TO_EMO8)[scenes.emo24], scenes.emo8)
    assert scenes.valence[scenes.emo8 == EMO8.index("joy")].mean() > 1
    assert scenes.valence[scenes.emo8 == EMO8.index("sadness")].mean() < -1
    assert (
        scenes.arousal[scenes.emo8 == EMO8.index("fear")].mean()
        > scenes.arousal[scenes.emo8 == EMO8.index("sadness")].mean() + 1
    )


def test_boxes_hold_faces_and_backs_of_heads_have_none():
    config = SceneConfig(n_train=60, n_validation=0, n_test=0, width=200, height=150)
    scenes = [draw_scene(index, config) for index in range(60)]
    counts = [len(scene.boxes) for scene in scenes]
    assert min(counts) == 0
    assert max(counts) >= 3
    assert np.mean(counts) > 1
    for scene in scenes:
        assert scene.boxes.shape == (len(scene.faces), 4)
        assert scene.boxes.dtype == np.float32
        assert all(scene.labels.facing[person] for person in scene.faces)
        if len(scene.boxes):
            assert scene.boxes.min() >= 0
            assert np.all(scene.boxes[:, 2] <= 200)
            assert np.all(scene.boxes[:, 3] <= 150)
            assert np.all(scene.boxes[:, 2:] - scene.boxes[:, :2] > 8)
