"""Images from files and from a packed copy: the same pixels and digests, whatever is killed, damaged or changed."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import tracemalloc
import warnings

import cv2
import numpy as np
import pytest

from fer_bench import paths
from fer_bench.apps.packing import checked, packing, specified
from fer_bench.data import packed as packed_copy
from fer_bench.data import survey
from fer_bench.data.decoding import decode, shrinks
from fer_bench.data.images import FileImages
from fer_bench.data.packed import Packed, is_packable, pack, packed
from fer_bench.data.packed_copy import damage, stored
from fer_bench.data.samples import SPLITS, Subset, stack_images
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import BadDataError, DamagedFileWarning, HardwareError, MissingDataError, Notice, SpecError
from fer_bench.image_files import read_header
from fer_bench.labels import FER7
from fer_bench.spec import Execution, RunSpec

SIDE = 32
COUNTS = ("n_train", "n_validation", "n_test")


def photograph(seed, height=150, width=120, colour=True):
    """Not a face, but neither flat nor noise: what a JPEG is made for."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (9, 8, 3) if colour else (9, 8), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def write_jpegs(root, per_class=3, gray_every=0):
    for c, name in enumerate(FER7.names):
        for s, split in enumerate(SPLITS):
            place = root / split / name
            place.mkdir(parents=True, exist_ok=True)
            for i in range(per_class):
                seed = c * 100 + s * 10 + i
                gray = gray_every and seed % gray_every == 0
                image = photograph(seed, 150 + 7 * i, 120 + 11 * c, colour=not gray)
                assert cv2.imwrite(str(place / f"{i}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return root


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    # Shards of a few images.
    monkeypatch.setattr(packed_copy, "_SHARD_BYTES", 10 * SIDE * SIDE * 3)
    write_jpegs(tmp_path / "data" / "mine", gray_every=4)
    return tmp_path


def read(home, images="auto", dataset="folder:mine", *, reading=True, **options):
    spec = RunSpec(
        dataset=dataset,
        dataset_options=options,
        image_size=SIDE,
        execution=Execution(data_dir=str(home / "data"), images=images),
    )
    return build_datamodule(spec, reading=reading)


def asked(home):
    return specified("folder:mine", {"image_size": SIDE}, {"data_dir": str(home / "data")})


def pixels(module):
    images = module.read_samples.images
    return stack_images(Subset(images, np.arange(len(images))), range(len(images)))


def table(home):
    rows = [
        f"{path.relative_to(home / 'data').as_posix()},{path.parent.name},{path.parent.parent.name}"
        for path in sorted((home / "data" / "mine").rglob("*.jpg"))
    ]
    (home / "data" / "list.csv").write_text("\n".join(["image,label,split", *rows]))
    return f"table:{home / 'data' / 'list.csv'}"


@pytest.mark.parametrize("kind", ["folder", "table"])
@pytest.mark.parametrize("options", [{}, {"decode": "reduced"}])
def test_images_are_the_same_whether_decoded_before_when_asked_for_or_packed(home, kind, options):
    dataset = "folder:mine" if kind == "folder" else table(home)
    ways = {how: read(home, how, dataset, **options) for how in ("auto", "stream", "packed")}
    seen = {how: pixels(module) for how, module in ways.items()}
    assert isinstance(ways["packed"].read_samples.images, Packed)
    assert not is_packable(ways["auto"].read_samples.images)
    for how in ("stream", "packed"):
        np.testing.assert_array_equal(seen[how], seen["auto"])
        for name in ("checksums", "facts", "key", "notes", "quarantined", "layout"):
            assert getattr(ways[how].samples, name) == getattr(ways["auto"].samples, name), name
        np.testing.assert_array_equal(ways[how].samples.columns["duplicate"], ways["auto"].samples.columns["duplicate"])


def test_batches_of_loader_processes_are_the_same_too(home):
    modules = [read(home, how, reading=False) for how in ("stream", "packed")]
    for module in modules:
        module.workers, module.batch_size = 1, 16
    one, other = ([batch["image"] for batch in module.train_dataloader()] for module in modules)
    assert len(one) == 2
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


@pytest.mark.proof
def test_a_training_predicts_the_same_from_files_and_from_a_packed_copy(home, monkeypatch):
    from fer_bench.results.store import Store
    from fer_bench.training.run import run

    digests = set()
    for how in ("stream", "packed", "auto"):
        monkeypatch.setenv("FER_BENCH_HOME", str(home / how))
        monkeypatch.setenv("FER_BENCH_RUNS", str(home / how / "runs"))
        spec = RunSpec(
            dataset="folder:mine",
            model="five_layer_cnn",
            image_size=SIDE,
            epochs=2,
            batch_size=8,
            execution=Execution(data_dir=str(home / "data"), images=how, logger="none"),
        )
        store = Store(home / how / "boards")
        record = run(spec, store)
        digests.add((record.run_id, str(record.predictions), str(record.data)))
    assert len(digests) == 1


def test_reduced_is_another_picture_of_the_same_data(home):
    full, reduced = read(home, "stream"), read(home, "stream", decode="reduced")
    one, other = pixels(full).astype(int), pixels(reduced).astype(int)
    assert 0 < np.abs(one - other).mean() < 8
    assert full.samples.checksums == reduced.samples.checksums


@pytest.mark.parametrize("colour", [False, None])
def test_grey_images_stay_grey(tmp_path, monkeypatch, colour):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    for i, split in enumerate(SPLITS):
        for c, name in enumerate(FER7.names):
            place = tmp_path / "data" / "mine" / split / name
            place.mkdir(parents=True)
            cv2.imwrite(str(place / "a.jpg"), photograph(10 * i + c, colour=False))
    modules = [read(tmp_path, how) for how in ("auto", "stream")]
    for module in modules:
        module.channels = 3 if colour is False else None
    one, other = (pixels(module) for module in modules)
    assert one.shape[3:] == ((3,) if colour is False else ())
    np.testing.assert_array_equal(one, other)


def test_a_large_dataset_is_not_decoded_once_before(home, monkeypatch):
    assert isinstance(read(home).read_samples.images, np.ndarray | Subset)
    monkeypatch.setattr(survey, "_LARGE", 1000)
    # What is decoded already is taken.
    assert not is_packable(read(home).read_samples.images)
    assert is_packable(read(home, decode="reduced").read_samples.images)


def test_a_packed_copy_is_taken_by_itself_for_any_part_of_it(home):
    images = read(home, "stream").read().images
    list(pack("mine", images))
    module = read(home)
    module.setup()
    assert isinstance(module.read_samples.images, Packed)
    half = Subset(images, np.arange(20, 3, -1))
    found = packed("mine", half)
    assert isinstance(found, Subset)
    assert isinstance(found.images, Packed)
    for i in range(len(half)):
        np.testing.assert_array_equal(found[i], half[i])


def test_a_pass_goes_on_where_it_was_stopped(home):
    images = read(home, "stream").read().images
    steps = pack("mine", images, jobs=1)
    first = next(steps), next(steps)
    assert [done for _, done in first] == [0, 10]
    steps.close()
    assert stored("mine") == []
    assert "the packed copy" not in str(packed("mine", images))
    before = (first[0][0].folder / "00000.bin").stat().st_mtime_ns
    (layout, done), *rest = list(pack("mine", images))
    assert done == 10
    assert rest[-1][1] == len(images)
    assert (layout.folder / "00000.bin").stat().st_mtime_ns == before
    np.testing.assert_array_equal(packed("mine", images).stack([3, 40]), np.stack([images[3], images[40]]))


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_whole_shards(home):
    program = f"""
        import fer_bench.data.packed as packed, time, sys
        from fer_bench.datasets.load import build_datamodule
        from fer_bench.spec import Execution, RunSpec
        packed._SHARD_BYTES = {10 * SIDE * SIDE * 3}
        spec = RunSpec(dataset="folder:mine", image_size={SIDE},
            execution=Execution(data_dir={str(home / "data")!r}, images="stream"))
        for _, done in packed.pack("mine", build_datamodule(spec, reading=True).read().images):
            print(done, flush=True)
            time.sleep(0.05)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if int(line) >= 20:
            child.send_signal(signal.SIGKILL)
            break
    child.wait()
    child.stdout.close()
    done = [count for _, count in pack("mine", read(home, "stream").read().images)]
    assert done[0] >= 20
    assert done[-1] == 63
    assert damage(stored("mine")[0]) == []


def flip(path, at=7):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_damaged_shard_is_found_not_used_and_written_again(home):
    images = read(home, "stream").read().images
    *_, (layout, _) = pack("mine", images)
    flip(layout.folder / "00002.bin")
    with pytest.warns(DamagedFileWarning, match=r"00002\.bin.*fer-bench pack"):
        assert packed("mine", images) is images
    assert check(home) == ["00002.bin has other content than was written"]
    assert [done for _, done in pack("mine", images)] == [53, 63]
    np.testing.assert_array_equal(packed("mine", images)[25], images[25])
    (layout.folder / "00001.bin").unlink()
    assert damage(layout) == ["00001.bin is missing"]


def check(home):
    """What of the copies is damaged."""
    said = []
    with pytest.raises(BadDataError, match=r"damaged.*without --check writes them again"):
        said.extend(line.partition(": ")[2] for line in checked(asked(home)))
    return said


def turned(path):
    """The same rows in another order: each image would be another one."""
    np.save(path, np.load(path)[::-1])


@pytest.mark.parametrize(
    ("name", "harm", "says"),
    [
        ("rows.npy", lambda path: path.write_bytes(b"no"), "rows.npy, which says what is where, is damaged"),
        ("rows.npy", lambda path: flip(path, 200), "rows.npy, which says what is where, is damaged"),
        ("rows.npy", lambda path: os.truncate(path, 300), "rows.npy, which says what is where, is damaged"),
        ("rows.npy", turned, "rows.npy, which says what is where, is damaged, or of another copy"),
        ("rows.npy", lambda path: path.unlink(), "rows.npy, which says what is where, is missing"),
        ("00001.bin", lambda path: os.truncate(path, 100), "00001.bin has 100 bytes instead of 30,720"),
        ("00001.bin", flip, "00001.bin has other content than was written"),
        ("00001.bin", lambda path: path.unlink(), "00001.bin is missing"),
        ("00001.json", lambda path: path.unlink(), "00001.bin has lost its checksum"),
        ("00001.json", lambda path: path.write_text("{}"), "00001.bin has lost its checksum"),
    ],
)
def test_damage_is_named_not_used_and_mended(home, name, harm, says):
    images = read(home, "stream").read().images
    *_, (layout, _) = pack("mine", images)
    harm(layout.folder / name)
    (said,) = check(home)
    assert said.startswith(says)
    with pytest.warns(DamagedFileWarning, match="is damaged"):
        assert packed("mine", images) is images
    list(pack("mine", images))
    assert [line.partition(": ")[2] for line in checked(asked(home))] == [
        "63 images, native, 32 px, RGB, full, 1: as they were written"
    ]
    np.testing.assert_array_equal(packed("mine", images)[25], images[25])


def test_a_copy_that_is_not_described_any_more_is_not_complete(home):
    images = read(home, "stream").read().images
    *_, (layout, _) = pack("mine", images)
    facts = (layout.folder / "facts.json").read_text()
    for text in ("{", facts.replace('"n": 63', '"n": 62')):
        (layout.folder / "facts.json").write_text(text)
        if text == "{":
            with pytest.raises(MissingDataError, match=r"no whole packed copy.*completes what was begun"):
                list(checked(asked(home)))
        else:
            assert any("rows.npy" in line for line in check(home))
        list(pack("mine", images))
        assert (layout.folder / "facts.json").read_text() == facts


def test_a_copy_of_a_file_that_has_changed_is_refused(home):
    list(packing(asked(home)))
    cv2.imwrite(str(home / "data" / "mine" / "train" / "happy" / "1.jpg"), photograph(999))
    module = read(home)
    with pytest.warns(Notice, match="lacks 1 of 63 images"):
        module.setup()
    assert is_packable(module.read_samples.images)
    list(packing(asked(home)))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        again = read(home)
        again.setup()
    assert again.samples.checksums == module.samples.checksums
    assert isinstance(again.samples.images, Packed)


def test_shards_that_vanish_while_they_are_read_are_one_line(home):
    images = read(home, "stream").read().images
    list(pack("mine", images))
    found = packed("mine", images)
    found.stack([0])
    shard = stored("mine")[0].folder / "00001.bin"
    os.truncate(shard, 100)
    with pytest.raises(BadDataError, match=r"00001\.bin ends early"):
        found[15]
    shard.unlink()
    with pytest.raises(BadDataError, match=r"00001\.bin cannot be read"):
        pickle.loads(pickle.dumps(found))[15]


def test_a_full_disk_is_said_before_anything_is_written(home, monkeypatch):
    images = read(home, "stream").read().images
    usage = packed_copy.shutil.disk_usage(paths.cache_dir())
    monkeypatch.setattr(packed_copy.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(HardwareError, match="MiB are free"):
        list(pack("mine", images))


def test_few_files_are_open_at_once(home, monkeypatch):
    monkeypatch.setattr(packed_copy, "_OPEN_FILES", 2)
    images = read(home, "stream").read().images
    list(pack("mine", images))
    found = packed("mine", images)
    np.testing.assert_array_equal(found.stack(range(63)), np.stack([images[i] for i in range(63)]))
    assert len(found._open) == 2


def test_what_is_not_decoded_from_files_cannot_be_packed():
    with pytest.raises(BadDataError, match="nothing to pack"):
        list(packing(specified("synthfaces", {"dataset_options": dict.fromkeys(COUNTS, 7)}, {})))
    with pytest.raises(SpecError, match="no option 'decode'"):
        specified("fer2013", {"dataset_options": {"decode": "reduced"}}, {})


def test_there_must_be_something_to_check(home):
    with pytest.raises(MissingDataError, match="no packed copy"):
        list(checked(asked(home)))


def test_boxes_are_part_of_what_an_image_is(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    cv2.imwrite(str(tmp_path / "a.jpg"), photograph(1, 400, 300))
    contents = np.arange(32, dtype=np.uint8)[None].repeat(3, axis=0)
    boxes = np.array([[0, 0, 300, 400], [10, 20, 210, 220], [-1, -1, -1, -1]], dtype=np.float32)

    def images(rows, **options):
        return FileImages(tmp_path, ["a.jpg"] * len(rows), SIDE, boxes[rows], contents=contents[rows], **options)

    list(pack("boxed", images([0, 1, 2])))
    assert isinstance(packed("boxed", images([2, 1])), Packed)
    np.testing.assert_array_equal(packed("boxed", images([2, 1]))[1], images([1])[0])
    # Another form is another copy.
    assert not isinstance(packed("boxed", images([1], reduced=True)), Packed)
    reduced, full = images([1], reduced=True)[0].astype(int), images([1])[0].astype(int)
    assert 0 < np.abs(reduced - full).mean() < 8


def test_nothing_is_decoded_smaller_than_it_is_needed():
    content = cv2.imencode(".jpg", photograph(0, 500, 900))[1].tobytes()
    header = read_header(content)
    assert [shrinks(header, side) for side in (600, 251, 250, 126, 125, 60, 8)] == [1, 1, 2, 2, 4, 8, 8]
    assert shrinks(header, 100, 150.0) == 1
    assert shrinks(read_header(cv2.imencode(".png", photograph(0, 500, 900))[1].tobytes()), 8) == 1
    assert [decode(content, gray=False, shrink=k).shape for k in (1, 2, 4, 8)] == [
        (500, 900, 3),
        (250, 450, 3),
        (125, 225, 3),
        (63, 113, 3),
    ]


def test_a_survey_goes_on_where_it_was_stopped(home, monkeypatch):
    monkeypatch.setattr(survey, "_BLOCK", 10)
    seen = []
    look = survey.seen_images

    def until(files, *arguments):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(len(files))
        return look(files, *arguments)

    monkeypatch.setattr(survey, "seen_images", until)
    with pytest.raises(KeyboardInterrupt):
        read(home, "stream").read()
    seen.clear()
    seen.extend([0, 0, 0, 0])
    whole = read(home, "stream").read()
    assert sum(seen) == 63 - 30
    monkeypatch.setattr(survey, "seen_images", look)
    assert whole.checksums == read(home, "auto").read().checksums


def test_unreadable_files_are_left_out_alike(home):
    (home / "data" / "mine" / "train" / "sad" / "broken.jpg").write_bytes(b"\xff\xd8\xff not much")
    for i in range(100):
        cv2.imwrite(str(home / "data" / "mine" / "train" / "sad" / f"more{i}.jpg"), photograph(2000 + i, 40, 40))
    one, other = read(home, "auto").read(), read(home, "stream").read()
    assert one.quarantined == other.quarantined != []
    assert one.checksums == other.checksums
    assert [str(i) for i in one.ids] == [str(i) for i in other.ids]
    np.testing.assert_array_equal(one.images[-1], other.images[-1])


@pytest.mark.parametrize("how", ["stream", "packed"])
def test_memory_does_not_grow_over_a_pass(home, how):
    images = read(home, how).read_samples.images
    held = []
    tracemalloc.start()
    try:
        for _ in range(4):
            tracemalloc.reset_peak()
            for i in range(len(images)):
                images[i]
            held.append(tracemalloc.get_traced_memory())
    finally:
        tracemalloc.stop()
    # A few photographs at most, and nothing that is left.
    assert held[-1][0] - held[1][0] < 10_000
    assert max(peak for _, peak in held[1:]) - held[1][0] < 1_000_000
