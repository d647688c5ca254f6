"""Recipes on images: tiny configurations learn, and what they make up and count is what they claim."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from checks import check_recipe_learns
from lamina import data
from lamina.recipes import _faces, _images, _scenes, captions, siamese, sliding, transfer
from lamina.train import plots

TINY = {  # settings, by how much the loss must fall, pictures
    "captions": ("scenes=60 hidden=24 epochs=3 batch=10 lr=0.01", 0.8, ["captions.png", "curves.png"]),
    "resnet": ("depths=8,14 width=4 samples=80 epochs=3 batch=16", 0.95, ["resnet.png"]),
    "transfer": ("known=4 photos=12 others=3 counts=1,3 epochs=3 steps=5 batch=8", 0.9, ["transfer.png"]),
    "yolo": ("grid=3 scenes=40 things=1 width=4 epochs=3 batch=8", 0.8, ["detections.png", "curves.png"]),
    "lenet": ("epochs=2 batch=16 lr=0.005", 0.8, ["curves.png", "filters.png", "maps.png", "mistakes.png"]),
    "siamese": (
        "persons=8 pairs=200 strangers=6 stored=4 asked=40 epochs=2 batch=16",
        0.95,
        ["roc.png", "recognition.png"],
    ),
    "sliding": ("windows=400 sheets=2 digits=3 epochs=2 batch=16", 0.95, ["sheets.png"]),
}


@pytest.mark.parametrize("name", TINY)
def test_learns(name, tmp_path, set_threads):
    set_threads(1)  # nets this small gain nothing from a second, and lose much to it where the machine is busy
    for package in ("sklearn", "matplotlib"):
        pytest.importorskip(package)
    check_recipe_learns(name, *TINY[name], tmp_path)


def test_enlarged_digits():
    pytest.importorskip("sklearn")
    sets = _images.enlarged_digits(20, margin=2)
    assert sum(map(len, sets)) == 1797
    images, labels = sets[2].tensors
    assert images.dtype is lamina.uint8 and images.shape[1:] == (1, 20, 20)
    assert int(images[:, :, :2].max()) == 0 and int(images.max()) == 255
    assert sorted(set(labels.tolist())) == list(range(10))


def test_digits_that_are_not_enlarged_are_the_digits():
    bundled = pytest.importorskip("sklearn.datasets").load_digits()
    rows = {tuple(row) for row in (bundled.data * (255 / 16)).round().astype(int).tolist()}
    assert all(tuple(image.flatten().tolist()) in rows for image in _images.enlarged_digits(8)[0].tensors[0][:50])


def test_faces_of_a_person_are_nearer_than_those_of_two():
    random = np.random.default_rng(0)
    persons = _faces.people(40, random)
    one, again, others = (_faces.photographs(p, random) for p in (persons, persons, persons[::-1].copy()))
    assert 0 <= float(one.min()) < float(one.max()) <= 1
    assert float((one - again).square().mean()) < 0.8 * float((one - others).square().mean())


def test_pairs_of_one_person_and_of_two():
    classes = data.TensorDataset(lamina.arange(6, dtype=lamina.uint8).reshape(6, 1, 1, 1), lamina.arange(6))
    images, different = siamese.pairs(_images.Classes(classes, range(6)), 300, np.random.default_rng(0)).tensors
    images = images.flatten(1)
    assert ((images[:, 0] != images[:, 1]).long() == different).all()
    assert 100 < int(different.sum()) < 200


def test_roc_of_known_distances():
    strangers, persons = siamese.roc(np.array([0.1, 0.4, 0.2, 0.9]), np.array([0, 0, 1, 1]))
    assert strangers.tolist() == [0, 0.5, 0.5, 1]
    assert persons.tolist() == [0.5, 0.5, 1, 1]


def test_sheets_and_what_is_found_on_them():
    pytest.importorskip("sklearn")
    images, labels = _images.enlarged_digits(sliding.DIGIT)[2].tensors
    digits = data.TensorDataset(_images.PLAIN(images), labels)
    random = lamina.Generator().manual_seed(1)
    sheet = sliding.write(digits, 6, random)
    assert 1 <= len(sheet.places) <= 6
    for row, column, _ in sheet.places:
        assert float(sliding.window(sheet.image, row, column).max()) > 0.3
    odds = lamina.zeros(11, 21, 21)
    for row, column, digit in sheet.places:  # a map that is sure around every digit
        y, x = round((row - 16) / 4), round((column - 16) / 4)
        odds[digit, y, x] = 0.9
        odds[digit, max(y - 1, 0), x] = 0.85
    found = sliding.finds(odds, 4, 0.8)
    assert len(found) == len(sheet.places) == sliding.right(found, sheet)
    wrong = [find._replace(digit=(find.digit + 1) % 10) for find in found]
    assert sliding.right(wrong, sheet) == 0
    images, classes = sliding.windows(digits, 50, 5, random).tensors
    assert images.shape == (50, 1, 32, 32)
    assert 15 < int((classes == sliding.NOTHING).sum()) < 35


def test_scenes_are_what_they_say():
    random = np.random.default_rng(0)
    for _ in range(30):
        seen = _scenes.scene(40, 1, 3, random)
        assert 1 <= len(seen.things) <= 3
        ground = np.ones((40, 40), bool)
        for thing in seen.things:
            x1, y1, x2, y2 = thing.box
            assert 0 <= x1 < x2 <= 40 and 0 <= y1 < y2 <= 40
            middle = seen.image[:, int((y1 + y2) / 2), int((x1 + x2) / 2)].numpy()
            assert np.abs(middle - _scenes.COLOURS[thing.colour]).max() < 0.3
            ground[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1] = False
        assert seen.image.numpy()[:, ground].max() < 0.6  # nothing beside the boxes
    things = [_scenes.Thing(0, "red", (20, 0, 30, 10)), _scenes.Thing(1, "blue", (0, 0, 9, 9))]
    assert _scenes.sentence(_scenes.Scene(seen.image, things)) == "a blue square left of a red circle"


def test_captions_end():
    random = np.random.default_rng(0)
    scenes = [_scenes.scene(captions.SIDE, 1, 2, random) for _ in range(20)]
    images, before, after = captions.dataset(scenes).tensors
    for row, seen in enumerate(scenes):
        words = [captions.WORDS[w] for w in after[row].tolist() if w != captions.IGNORED]
        assert " ".join(words) == _scenes.sentence(seen) + " <end>"
        assert before[row, 0] == captions.BEGIN
        assert before[row, 1 : len(words)].tolist() == after[row, : len(words) - 1].tolist()
    model = captions.Captioner("LSTM", 8)
    assert model(images, before).shape == (20, len(captions.WORDS), captions.LONGEST)
    assert len(captions.describe(model, images, 3)) == 20


def test_what_is_frozen_stays_and_what_is_not_moves():
    lamina.manual_seed(0)
    random = np.random.default_rng(0)
    few = transfer.album(_faces.People(3, random), 2, random)
    assert few.tensors[1].tolist() == [0, 1, 2, 0, 1, 2]
    settings = transfer.Settings(steps=3, batch=4)
    source = transfer.network(7)
    for way in transfer.WAYS:
        model = transfer.prepared(way, source, few.tensors[0], 3, settings)
        assert (lamina.equal(model[0][0].weight, source[0][0].weight)) == (
            "layer" in way and "-wise" not in way or "taken" in way
        )
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        transfer.learn(model, few, settings)
        moved = {
            name.split(".")[0] for name, tensor in model.state_dict().items() if not lamina.equal(tensor, before[name])
        }
        assert moved == ({"4"} if way.startswith("frozen") else {"0", "1", "2", "3", "4"})


def test_pictures_of_filters_in_colour_and_not(tmp_path):
    pytest.importorskip("matplotlib")
    for inputs in (1, 3):
        _images.show_filters(lamina.randn(5, inputs, 3, 3), tmp_path / f"{inputs}.png", "kernels")
        assert (tmp_path / f"{inputs}.png").stat().st_size > 1000
    assert plots.rectangle((0, 0), 2, 1).get_width() == 2
