"""Recurrent recipes: tiny configurations learn, and the data that they make up are what they claim to be."""

from __future__ import annotations

import random

import pytest

import lamina
from checks import check_recipe_learns
from lamina import nn
from lamina.data.lengths import STRATEGIES
from lamina.recipes import adding, arithmetic, dates, evolution, forecast, latch, levels, sentiment, tagging, xml
from lamina.recipes._recurrent import IGNORED, Reader
from lamina.recipes._text import Alphabet, CharacterModel, python_source, sample, windows

TINY = {  # settings, by how much the loss must fall, pictures
    "adding": ("steps=6 samples=400 hidden=16 epochs=5 lr=0.02", 0.9, ["adding.png"]),
    "arithmetic": ("digits=1 letters=0 samples=100 hidden=24 epochs=2 batch=16 lr=0.02", 0.9, ["arithmetic.png"]),
    "characters": ("characters=6000 hidden=32 rows=4 steps=16 epochs=2 lr=0.01", 0.9, ["bits.png", "samples.txt"]),
    "dates": ("samples=200 hidden=24 epochs=2 batch=16 lr=0.01", 0.9, ["dates.png", "states.png"]),
    "evolution": ("candidates=2 survivors=2 samples=100 hidden=12 epochs=3 lr=0.02", 0.9, ["evolution.png"]),
    "forecast": ("samples=300 hidden=8 epochs=3 steps=20 ahead=4 batch=32", 0.8, ["forecast.png"]),
    "latch": ("steps=4 samples=200 epochs=3 hidden=8 batch=16 lr=0.03", 0.8, ["gradients.png"]),
    "levels": ("columns=900 hidden=16 rows=8 steps=18 epochs=2 written=80", 0.9, ["levels.png", "level.txt"]),
    "odyssey": ("characters=3000 hidden=8 rows=4 steps=16 epochs=2 lr=0.02", 0.95, ["odyssey.png"]),
    "sentiment": ("clauses=1 samples=300 hidden=16 epochs=6 batch=16 lr=0.03", 0.8, ["verdicts.png"]),
    "tagging": ("words=1 samples=200 hidden=16 epochs=3 lr=0.02", 0.9, ["tags.png"]),
    "xml": ("steps=20 samples=150 hidden=24 epochs=3", 0.9, ["xml.png"]),
}


@pytest.mark.parametrize("name", TINY)
def test_learns(name, tmp_path, set_threads):
    set_threads(1)  # nets this small gain nothing from a second, and lose much to it where the machine is busy
    pytest.importorskip("matplotlib")
    check_recipe_learns(name, *TINY[name], tmp_path)


# ---- the state that is carried ----


@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_pieces_with_carried_state_give_what_the_whole_gives(cell):
    model = CharacterModel(7, cell, 5, 2, rows=3)
    symbols = lamina.randint(7, (8, 3))
    whole, _ = model.read(symbols, model.start(3))
    pieces = [model(symbols[t : t + 4].unsqueeze(0), lamina.tensor([float(t > 0)])) for t in (0, 4)]
    assert lamina.allclose(lamina.cat(pieces), whole.flatten(0, 1), atol=1e-6)
    again = model(symbols[:4].unsqueeze(0), lamina.tensor([0.0]))
    assert lamina.equal(again, pieces[0])
    assert not model.h.requires_grad
    assert "h" in model.state_dict()  # a run that was stopped in the middle of a text goes on there


def test_windows_follow_one_another():
    batches = windows(lamina.arange(50), rows=3, steps=4)
    assert [int(goes_on.item()) for _, goes_on, _ in batches] == [0, 1, 1, 1]
    now, _, following = (lamina.cat(part, 1) if part[0].ndim == 3 else part for part in zip(*batches, strict=True))
    assert now[0].t().tolist() == [list(range(row * 16, row * 16 + 16)) for row in range(3)]
    assert lamina.stack(list(following)).reshape(16, 3).tolist() == (now[0] + 1).tolist()
    with pytest.raises(ValueError, match="too short for 3 rows of 20"):
        windows(lamina.arange(50), rows=3, steps=20)


def test_text_and_samples(tmp_path):
    (tmp_path / "b.py").write_text("x = 1\n\tü")
    (tmp_path / "a.py").write_text("import b\n")
    assert python_source(100, tmp_path) == "import b\nx = 1\n    "
    assert python_source(4, tmp_path) == "impo"
    with pytest.raises(ValueError, match=r"no \.py files"):
        python_source(4, tmp_path / "none")
    alphabet = Alphabet("hello")
    assert alphabet.decode(alphabet.encode("hole")) == "hole"
    model = CharacterModel(len(alphabet), "GRU", 4, 1, rows=2)
    text = sample(model, alphabet, "he", 12)
    assert text.startswith("he")
    assert len(text) == 12
    assert len(sample(model, alphabet, "h", 5)) == 5


# ---- the data ----


def test_adding_marks_one_number_of_each_half():
    x, total = adding.sequences(50, 11).tensors
    marks = x[:, :, 1]
    assert marks[:, :5].sum(1).tolist() == marks[:, 5:].sum(1).tolist() == [1.0] * 50
    assert lamina.allclose((x[:, :, 0] * marks).sum(1), total[:, 0])


def test_arithmetic_problems_are_right():
    settings, draw = arithmetic.Settings(digits=3, letters=4), random.Random(1)
    problems = [arithmetic.problem(settings, draw) for _ in range(200)]
    for asked, result in problems:
        plain = "".join(c for c in asked if c not in arithmetic.LETTERS)
        left, _, right = plain.rstrip("=").replace("-", "+-").partition("+")
        assert int(left) + int(right) == int(result.rstrip("."))
    x, targets = arithmetic.lines(problems, settings).tensors
    for row, (asked, result) in enumerate(problems):
        told = [int(s) for s in targets[row] if int(s) != IGNORED]
        assert arithmetic.ALPHABET.decode(told) == result
        assert int(targets[row, len(asked) - 1]) == told[0]  # after the sign =
    assert any("-" in result for _, result in problems)


def test_lines_of_like_length_need_little_padding():
    settings, draw = arithmetic.Settings(batch=16), random.Random(1)
    problems = [arithmetic.problem(settings, draw) for _ in range(400)]
    samplers = {name: arithmetic.batches(problems, settings, name) for name in STRATEGIES}
    share = {name: arithmetic.padding(problems, sampler).share for name, sampler in samplers.items()}
    assert share["source_target"] < share["source"] < share["target"] < share["shuffle"]
    whole, sampler = arithmetic.lines(problems, settings), samplers["source"]
    for indices in sampler.batches():
        x, targets = whole.batch(lamina.tensor(indices))
        steps = max(len("".join(problems[i])) for i in indices) - 1
        assert x.shape == targets.shape == (len(indices), steps)
        assert (whole.tensors[1].index_select(0, lamina.tensor(indices))[:, steps:] == IGNORED).all()


def test_xml_closes_what_it_opened():
    settings = xml.Settings(steps=200)
    text, marks = xml.piece(settings, random.Random(3))
    opened, position = [], 0
    while (end := text.find(">", position)) >= 0:
        tag = text[position + 1 : end]
        if tag.startswith("/"):
            assert tag[1:] == opened.pop()
            assert marks[position : end + 1] == [False, False] + [True] * len(tag)
        else:
            opened.append(tag)
            assert not any(marks[position : end + 1])
        assert len(opened) <= settings.depth
        position = end + 1


def test_reviews_turn_on_not_and_but():
    draw = random.Random(0)
    for _ in range(300):
        text, kind = sentiment.review(4, draw)
        verdict, weight = 0, 1
        for part in text.rstrip(" .").replace(" and ", " but=").replace(" but ", " but+").split(" but"):
            weight *= 3 if part.startswith("+") else 1
            words = part[1:].split() if part[0] in "+=" else part.split()
            good = (words[-1] in sentiment.KIND) != ("not" in words or "never" in words)
            verdict += weight if good else -weight
        assert (verdict > 0) == bool(kind)


def test_tags_say_what_digits_stand_for():
    draw = random.Random(0)
    for _ in range(200):
        text, tags = tagging.word(draw)
        if text[0].isdigit():
            value = sum(
                int(c) * 10.0 ** (tagging.ONES - tag)
                for c, tag in zip(text, tags, strict=True)
                if tag != tagging.NO_DIGIT
            )
            assert value == pytest.approx(float(text))
    symbols, lengths, tags = tagging.lines(20, 3, draw).tensors
    for row in range(20):
        assert (tags[row] != IGNORED).sum().item() == lengths[row].item()
        assert not tagging.ALPHABET.decode(symbols[row])[int(lengths[row]) :].strip()


def test_levels_that_are_made_up_can_be_played():
    columns = levels.level(2000, random.Random(0))
    assert not levels.faults(columns)
    assert {cell for column in columns for cell in column} == set(levels.COLOURS)


@pytest.mark.parametrize(
    "cells, reason",
    [
        ([""] * 4, "a gap too wide"),
        (["X-X"], "X on -"),
        (["Xp", "X"], "half a pipe"),
        (["X-e"], "an enemy in the air"),
        (["X--------"], "a column of 9 cells"),
    ],
)
def test_faults_of_levels_are_found(cells, reason):
    columns = [levels.column(text) for text in ("X", *cells, "X")]
    assert [found for _, found in levels.faults(columns)] == [reason]


def test_dates_are_written_in_ways_that_say_which_they_are():
    draw = random.Random(0)
    date = dates.datetime.date(1987, 3, 5)
    ways = {dates.written(date, draw) for _ in range(300)}
    assert {"5.3.1987", "05/03/1987", "thu, 5 mar '87", "the 5th of march 1987", "mar 5, 1987"} <= ways
    assert max(map(len, ways)) <= dates.LONGEST
    x, lengths, before, said = dates.pairs(30, draw).tensors
    assert lamina.equal(before[:, 1:], said[:, :-1])
    assert (before[:, 0] == dates.BEGIN).all() and (said[:, -1] == dates.END).all()
    assert dates.SOURCE.decode(x[0][: int(lengths[0])]).strip() == dates.SOURCE.decode(x[0]).strip()


def test_what_the_decoder_reads_of_its_own_grows_from_epoch_to_epoch():
    whole = dates.pairs(20, random.Random(0))
    loader = dates.Scheduled(whole, dates.Settings(batch=8, own=0.5, epochs=5))
    shares = [{batch[3] for batch in loader.batches(epoch)} for epoch in range(5)]
    assert shares == [{0.0}, {0.125}, {0.25}, {0.375}, {0.5}]
    model = dates.Translator("GRU", 8)
    x, lengths, before, _ = whole.tensors
    taught = model(x, lengths, before)
    assert lamina.equal(model(x, lengths, before, 0.0), taught)
    assert not lamina.equal(model(x, lengths, before, 1.0), taught)


def test_a_beam_finds_what_is_at_least_as_likely():
    model = dates.Translator("LSTM", 12)
    x, lengths, *_ = dates.pairs(20, random.Random(0)).tensors
    greedy, beam = (dates.translate(model, x, lengths, beams)[1] for beams in (1, 64))
    assert beam >= greedy


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_evolution_begins_with_the_cells_themselves(name):
    """As expressions they give what the built-in layers give with the same weights."""
    x = lamina.randn(5, 2, 3)
    layer, custom = getattr(nn, name)(3, 4), nn.CustomRNN(evolution.grown(evolution.STARTS[name]), 3, 4)
    state = layer.state_dict()
    # p, q, r, s: i, f, g, o of the LSTM; r, z, n of the GRU, which has no fourth.
    rows = {
        key: value if name == "LSTM" else lamina.cat([value, lamina.zeros_like(value[:4])])
        for key, value in state.items()
    }
    custom.load_state_dict(rows)
    assert lamina.allclose(custom(x)[0], layer(x)[0], atol=1e-6)


def test_mutations_are_cells_that_run():
    draw = random.Random(0)
    genome, seen = evolution.STARTS["GRU"], set()
    for _ in range(25):
        new = evolution.child(genome, draw)
        assert new != genome
        assert max(len(evolution.parts(expression)) for expression in new) <= 40
        out, _ = nn.CustomRNN(evolution.grown(new), 3, 4)(lamina.randn(3, 2, 3))
        assert out.shape == (3, 2, 4)
        seen.add(evolution.formula(new[0]))
    assert len(seen) > 10
    assert evolution.formula(("mul", ("sigmoid", "p"), ("shrink", ("add", "h", "c")))) == "(σ(p) · 0.9 (h + c))"


def test_forecast_targets_are_the_inputs_one_later():
    whole = forecast.series(3, 12)
    x, y = forecast.shifted(whole, 10).tensors
    assert lamina.equal(x[:, 1:, 0], y[:, 0, :-1])
    assert lamina.equal(y[:, 0, -1], whole[:, 10])
    line = lamina.arange(40).double().reshape(2, 20)
    assert forecast.linear_error(line, line) == pytest.approx(0, abs=1e-12)


def test_gradient_norms_are_those_of_the_states():
    """Against a sequence whose state after step t is moved by a little, by hand."""
    model = Reader("RNN", 1, 4, 2, last=True).double()
    x = lamina.randn(1, 5, 1).double()
    answer = lamina.tensor([1])
    norms = latch.gradient_norms(model, x, answer)
    assert len(norms) == 5
    state = model.layer(x[:, :3])[1]

    def loss(h):
        last = model.layer(x[:, 3:], h)[1][-1]
        return lamina.cross_entropy(model.head(last), answer).item()

    slopes = []
    for unit in range(4):
        step = lamina.zeros(1, 1, 4).double()
        step[0, 0, unit] = 1e-6
        slopes.append((loss(state + step) - loss(state - step)) / 2e-6)
    assert sum(s * s for s in slopes) ** 0.5 == pytest.approx(norms[2], rel=1e-5)


def test_reader_reads_lengths():
    """The answer of a padded sequence is that of the sequence alone, in both directions."""
    model = Reader("GRU", 3, 4, 2, symbols=9, bidirectional=True)
    symbols = lamina.randint(9, (2, 6))
    both = model(symbols, lamina.tensor([6, 4]))
    assert both.shape == (2, 2, 6)
    assert lamina.allclose(both[1:, :, :4], model(symbols[1:, :4]), atol=1e-6)
