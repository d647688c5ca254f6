"""Recipes on images: tiny configurations learn, and what they make up and count is what they claim."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import lamina
from lamina.__main__ import main
from lamina.recipes import _faces, _images, siamese, sliding
from lamina.train import plots

TINY = {  # settings, by how much the loss must fall, pictures
    "lenet": ("copies=0 epochs=2 batch=16", 0.6, ["curves.png", "filters.png", "maps.png", "mistakes.png"]),
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
    settings, share, pictures = TINY[name]
    assert main(["train", name, "--quiet", "--out", str(tmp_path), "--set", *settings.split()]) in (0, 3)
    with open(tmp_path / "history.csv") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < share * losses[0]
    for picture in pictures:
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_warped_images_stay_where_they_are_told_to():
    images = lamina.zeros(50, 15, 15)
    images[:, 6:9, 6:9] = 1
    assert lamina.equal(_images.warp(images, 0, 0, 1, 0), images)
    moved = _images.warp(images, 0, 0, 1, 2)
    assert lamina.allclose(moved.sum((1, 2)), lamina.full((50,), 9.0), atol=1e-4)  # whole, within the image
    place = (moved.sum(2) * lamina.arange(15).float()).sum(1) / 9 - 7
    assert float(place.abs().max()) <= 2
    assert float(place.std()) > 0.5
    assert float(_images.warp(images, 90, 0.5, 2, 20).max()) <= 1 + 1e-6


def test_enlarged_digits():
    pytest.importorskip("sklearn")
    learn, check, test = _images.enlarged_digits(20, copies=2, margin=2)
    assert len(learn) == 3 * (1797 - len(check) - len(test))
    images, labels = test.tensors
    assert images.shape[1:] == (1, 20, 20)
    assert float(images[:, :, :2].abs().max()) == 0
    assert sorted(set(labels.tolist())) == list(range(10))


def test_faces_of_a_person_are_nearer_than_those_of_two():
    random = np.random.default_rng(0)
    persons = _faces.people(40, random)
    one, again, others = (_faces.photographs(p, random) for p in (persons, persons, persons[::-1].copy()))
    assert 0 <= float(one.min()) < float(one.max()) <= 1
    assert float((one - again).square().mean()) < 0.8 * float((one - others).square().mean())


def test_pairs_of_one_person_and_of_two(monkeypatch):
    monkeypatch.setattr(siamese, "photographs", lambda persons, random: lamina.tensor(persons[:, 0]))
    images, different = siamese.pairs(np.arange(12.0).reshape(6, 2), 300, np.random.default_rng(0)).tensors
    assert ((images[:, 0] != images[:, 1]).long() == different).all()
    assert 100 < int(different.sum()) < 200


def test_roc_of_known_distances():
    strangers, persons = siamese.roc(np.array([0.1, 0.4, 0.2, 0.9]), np.array([0, 0, 1, 1]))
    assert strangers.tolist() == [0, 0.5, 0.5, 1]
    assert persons.tolist() == [0.5, 0.5, 1, 1]


def test_sheets_and_what_is_found_on_them():
    pytest.importorskip("sklearn")
    digits = _images.enlarged_digits(sliding.DIGIT, copies=0)[2]
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


def test_pictures_of_filters_in_colour_and_not(tmp_path):
    pytest.importorskip("matplotlib")
    for inputs in (1, 3):
        _images.show_filters(lamina.randn(5, inputs, 3, 3), tmp_path / f"{inputs}.png", "kernels")
        assert (tmp_path / f"{inputs}.png").stat().st_size > 1000
    assert plots.rectangle((0, 0), 2, 1).get_width() == 2
