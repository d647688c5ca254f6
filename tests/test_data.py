"""Data sets, the loader, splits and normalisation."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina import data
from processes import run_python


class Squares(data.Dataset):
    """Sample by sample, with a pause that makes later samples overtake earlier ones."""

    def __init__(self, n, pause=0.0):
        self.n, self.pause = n, pause

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        time.sleep(self.pause * ((index * 7) % 5))
        return lamina.tensor(float(index)), index * index


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("lamina-loader")]


def wait_for_no_threads():
    for _ in range(200):
        if not loader_threads():
            return
        time.sleep(0.01)
    pytest.fail(f"still running: {loader_threads()}")


# ---- data sets ----


def test_tensor_dataset():
    d = data.TensorDataset(np.arange(6.0).reshape(3, 2), [5, 6, 7])
    assert len(d) == 3
    assert d[1][0].tolist() == [2, 3]
    assert d[-1][1] == 7
    x, y = d.batch(lamina.tensor([2, 0]))
    assert x.tolist() == [[4, 5], [0, 1]]
    assert y.tolist() == [7, 5]
    assert [int(y) for _, y in d] == [5, 6, 7]
    assert repr(d) == "TensorDataset(3 × (float64 (2,), int64 ()))"


@pytest.mark.parametrize("tensors", [(), (lamina.ones(3), lamina.ones(4)), (lamina.tensor(1.0),)])
def test_tensor_dataset_refuses(tensors):
    with pytest.raises(ValueError, match="TensorDataset: "):
        data.TensorDataset(*tensors)


def test_subset_concat_and_map():
    d = data.TensorDataset(lamina.arange(10))
    s = data.Subset(d, [7, 3, 3])
    assert [int(x) for (x,) in s] == [7, 3, 3]
    assert s.batch(lamina.tensor([2, 0]))[0].tolist() == [3, 7]
    nested = data.Subset(s, [0, 2])
    assert nested.batch(lamina.tensor([0, 1]))[0].tolist() == [7, 3]
    assert not hasattr(data.Subset(Squares(4), [1]), "batch")
    both = s + data.Subset(d, [9])
    assert [int(x) for (x,) in both] == [7, 3, 3, 9]
    assert int(both[-1][0]) == 9
    with pytest.raises(IndexError, match="index 4 of 4"):
        both[4]
    with pytest.raises(IndexError, match="from 0 to 9, got 10"):
        data.Subset(d, [10])
    with pytest.raises(IndexError, match="got -1"):
        data.Subset(d, [-1])
    doubled = data.MapDataset(d, lambda sample: sample[0] * 2)
    assert doubled[4] == 8
    assert len(doubled) == 10
    assert data.tensors_of(s)[0].tolist() == [7, 3, 3]
    assert data.tensors_of(Squares(3))[1].tolist() == [0, 1, 4]


# ---- the loader ----


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 10, 11])
@pytest.mark.parametrize("dataset", [data.TensorDataset(lamina.arange(10), lamina.arange(10) ** 2), Squares(10)])
def test_batches_in_order(dataset, batch_size, drop_last):
    loader = data.DataLoader(dataset, batch_size, drop_last=drop_last)
    batches = list(loader)
    assert len(batches) == len(loader)
    seen = [int(x) for batch, _ in batches for x in batch]
    assert seen == list(range(len(seen)))
    assert len(seen) == (10 // batch_size * batch_size if drop_last else 10)
    assert all((y == x.long() ** 2).all() for x, y in batches)


def test_batches_do_not_share_the_data_sets_memory():
    d = data.TensorDataset(lamina.zeros(4))
    for (x,) in data.DataLoader(d, 4):
        x += 1
    assert d.tensors[0].sum() == 0


@pytest.mark.parametrize("num_workers", [1, 2, 5])
@pytest.mark.parametrize(
    "make", [lambda: Squares(23, 0.0005), lambda: data.TensorDataset(lamina.arange(23.0), lamina.arange(23) ** 2)]
)
def test_any_number_of_threads_gives_the_same_batches(make, num_workers):
    one = data.DataLoader(make(), 4, shuffle=True, seed=3)
    many = data.DataLoader(make(), 4, shuffle=True, seed=3, num_workers=num_workers)
    for _ in range(2):
        for (a, c), (b, d) in zip(one, many, strict=True):
            assert a.tolist() == b.tolist()
            assert c.tolist() == d.tolist()
    wait_for_no_threads()


def test_shuffling_is_a_permutation_and_differs_between_epochs_and_seeds():
    d = data.TensorDataset(lamina.arange(100))
    loader = data.DataLoader(d, 7, shuffle=True, seed=1)
    orders = [[int(x) for (b,) in loader for x in b] for _ in range(3)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    again = data.DataLoader(d, 7, shuffle=True, seed=1)
    assert [int(x) for (b,) in again for x in b] == orders[0]
    assert data.DataLoader(d, shuffle=True, seed=2).order(0).tolist() != orders[0]
    lamina.manual_seed(5)
    first = data.DataLoader(d, shuffle=True).order(0).tolist()
    lamina.manual_seed(5)
    assert data.DataLoader(d, shuffle=True).order(0).tolist() == first
    assert data.DataLoader(d, shuffle=True).order(0).tolist() != first


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_can_be_entered_anywhere(num_workers):
    loader = data.DataLoader(Squares(20), 3, shuffle=True, seed=4, num_workers=num_workers)
    whole = [x.tolist() for x, _ in loader.batches(5)]
    for start in range(len(whole) + 1):
        assert [x.tolist() for x, _ in loader.batches(5, start)] == whole[start:]


@pytest.mark.parametrize("num_workers", [0, 3])
def test_random_numbers_of_samples_depend_on_seed_epoch_and_index_only(num_workers):
    class Noisy(Squares):
        def __getitem__(self, index):
            time.sleep(0.0005 * (index % 3))
            return lamina.randn(2, generator=data.sample_generator())

    loader = data.DataLoader(Noisy(12), 2, seed=9, num_workers=num_workers)
    first, second = (lamina.cat(list(loader)).flatten().tolist() for _ in range(2))
    again = lamina.cat(list(data.DataLoader(Noisy(12), 5, seed=9).batches(1))).flatten().tolist()
    assert second == again
    assert len(set(first + second)) == 48
    with pytest.raises(RuntimeError, match="only for samples that a DataLoader is making"):
        data.sample_generator()


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_errors_reach_the_caller_with_the_index(num_workers):
    class Faulty(Squares):
        def __getitem__(self, index):
            if index == 7:
                raise KeyError("no such file")
            return super().__getitem__(index)

    loader = data.DataLoader(Faulty(12), 2, num_workers=num_workers)
    seen = []
    with pytest.raises(RuntimeError, match="sample 7: KeyError: 'no such file'") as caught:
        for x, _ in loader:
            seen += x.tolist()
    assert seen == [0, 1, 2, 3, 4, 5]
    assert isinstance(caught.value.__cause__, KeyError)
    wait_for_no_threads()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_samples_that_cannot_be_stacked_are_named(num_workers):
    ragged = data.MapDataset(Squares(6), lambda s: lamina.zeros(2 if s[1] < 9 else 3))
    loader = data.DataLoader(ragged, 2, num_workers=num_workers)
    with pytest.raises(
        RuntimeError, match=r"samples \[2, 3\]: ValueError: collate: samples of different shapes.*\(2,\), \(3,\)"
    ):
        list(loader)


def test_leaving_early_frees_the_threads():
    for x, _ in data.DataLoader(Squares(1000, 0.001), 2, num_workers=3):
        assert x.tolist() == [0, 1]
        assert loader_threads()
        break
    gc.collect()
    wait_for_no_threads()


def test_ctrl_c_ends_a_program_that_loads_with_threads():
    script = """
        import os, signal, threading, time
        import lamina
        from lamina import data
        class Slow(data.Dataset):
            def __len__(self): return 10**6
            def __getitem__(self, i): time.sleep(0.01); return i
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            for batch in data.DataLoader(Slow(), 4, num_workers=2): pass
        except KeyboardInterrupt:
            print("interrupted")
    """
    finished = run_python(script, timeout=20)
    assert finished.stdout == "interrupted\n", finished.stderr


@pytest.mark.parametrize("num_workers", [0, 1, 3])
@pytest.mark.parametrize("drop_last", [False, True])
def test_iterables(num_workers, drop_last):
    loader = data.DataLoader(data.IterableDataset(lambda: range(10)), 4, num_workers=num_workers, drop_last=drop_last)
    want = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]][: 2 if drop_last else 3]
    for _ in range(2):
        assert [b.tolist() for b in loader] == want
    assert [b.tolist() for b in loader.batches(0, 1)] == want[1:]
    wait_for_no_threads()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_errors_in_iterables_reach_the_caller(num_workers):
    def source():
        yield from range(5)
        raise OSError("gone")

    seen = []
    with pytest.raises(OSError, match="gone"):
        for b in data.DataLoader(data.IterableDataset(source), 2, num_workers=num_workers):
            seen += b.tolist()
    assert seen == [0, 1, 2, 3]


def test_iterables_have_no_order():
    d = data.IterableDataset(range(3))
    assert len(d) == 3
    with pytest.raises(TypeError, match="no order to index"):
        d[0]
    with pytest.raises(TypeError, match="no length"):
        len(data.IterableDataset(lambda: [1]))
    with pytest.raises(ValueError, match="comes in its own order"):
        data.DataLoader(d, shuffle=True)


def test_samplers():
    d = data.TensorDataset(lamina.arange(10))
    assert [b[0].tolist() for b in data.DataLoader(d, 2, sampler=[9, 1, 1])] == [[9, 1], [1]]
    loader = data.DataLoader(d, batch_sampler=[[3], [5, 6, 7]])
    assert len(loader) == 2
    assert [b[0].tolist() for b in loader] == [[3], [5, 6, 7]]
    weighted = data.WeightedRandomSampler([0, 1, 3], 4000, seed=1)
    loader = data.DataLoader(d, 100, sampler=weighted)
    counts = Counter(int(x) for (b,) in loader for x in b)
    assert set(counts) == {1, 2}
    assert 2800 < counts[2] < 3200
    assert loader.order(0).tolist() == loader.order(0).tolist() != loader.order(1).tolist()
    with pytest.raises(ValueError, match="not all 0"):
        data.WeightedRandomSampler([0.0, 0.0], 1)
    with pytest.raises(ValueError, match="num_samples must not be negative, got -1"):
        data.WeightedRandomSampler([1.0, 1.0], -1)
    with pytest.raises(ValueError, match="need replacement"):
        data.WeightedRandomSampler([1.0, 1.0], 3, replacement=False)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"batch_size": 0}, "batch_size ≥ 1"),
        ({"num_workers": -1}, "num_workers ≥ 0"),
        ({"shuffle": True, "sampler": [0]}, "takes the place of shuffle"),
        ({"batch_size": 2, "batch_sampler": [[0]]}, "takes the place of batch_size"),
    ],
)
def test_settings_of_the_loader_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        data.DataLoader(Squares(3), **settings)


def test_arguments_of_the_loader_of_wrong_types():
    with pytest.raises(TypeError, match=r"batch_size must be a whole number, got 2\.5"):
        data.DataLoader(Squares(3), 2.5)
    with pytest.raises(TypeError, match="num_workers must be a whole number, got 'all'"):
        data.DataLoader(Squares(3), num_workers="all")
    with pytest.raises(TypeError, match="expected a data set with __len__ and __getitem__.* got int"):
        data.DataLoader(3)


def test_empty_data_set():
    with pytest.raises(ValueError, match="the data set is empty"):
        data.DataLoader(data.TensorDataset(lamina.zeros(0, 3)))


def test_collate():
    with pytest.raises(ValueError, match="collate: expected one sample or more"):
        data.collate([])

    class Pair(NamedTuple):
        a: float
        b: object

    assert data.collate([1, 2]).dtype is lamina.int64
    assert data.collate([1.0, 2.0]).dtype is lamina.float32
    assert data.collate([True, False]).dtype is lamina.bool
    assert data.collate(["a", "b"]) == ["a", "b"]
    assert data.collate([np.float32(1), np.float32(2)]).tolist() == [1, 2]
    batch = data.collate([Pair(1.0, {"x": np.ones(2), "y": (1, "a")}), Pair(2.0, {"x": np.zeros(2), "y": (2, "b")})])
    assert isinstance(batch, Pair)
    assert batch.a.tolist() == [1, 2]
    assert batch.b["x"].tolist() == [[1, 1], [0, 0]]
    assert batch.b["y"][1] == ["a", "b"]
    assert list(data.DataLoader(Squares(3), 2, collate_fn=len)) == [2, 1]


# ---- splits ----


def test_rule_of_thumb():
    assert data.rule_of_thumb(9_999) == pytest.approx((0.6, 0.2, 0.2))
    assert data.rule_of_thumb(1_000_000) == pytest.approx((0.98, 0.01, 0.01))
    held_out = [n * data.rule_of_thumb(n)[1] for n in np.geomspace(10_000, 1_000_000, 30).round().astype(int)]
    assert held_out[0] == pytest.approx(2000)
    assert held_out[-1] == pytest.approx(10_000)
    assert all(a < b for a, b in zip(held_out, held_out[1:], strict=False))


@given(st.integers(10, 400), st.integers(2, 5), st.integers(0, 5), st.booleans())
@settings(max_examples=40, deadline=None)
def test_every_sample_is_in_one_part(n, classes, seed, stratified):
    labels = lamina.arange(n) % classes
    d = data.TensorDataset(lamina.arange(n), labels)
    parts = data.split(d, stratify=stratified, seed=seed)
    seen = sorted(int(i) for part in parts for i in part.indices)
    assert seen == list(range(n))
    assert abs(len(parts.train) - 0.6 * n) <= 1
    assert abs(len(parts.test) - 0.2 * n) <= 1
    if stratified:
        for part in parts:
            of_class = Counter(int(labels[int(i)]) for i in part.indices)
            for c in range(classes):
                share = int((labels == c).sum()) * len(part) / n
                assert abs(of_class[c] - share) < 2
    again = data.split(d, stratify=stratified, seed=seed)
    assert all(a.indices.tolist() == b.indices.tolist() for a, b in zip(parts, again, strict=True))


def test_rare_classes_reach_every_part_when_stratified():
    labels = lamina.tensor([1 if i % 20 == 0 else 0 for i in range(400)])
    parts = data.split(data.TensorDataset(labels), stratify=True)
    assert [int(labels[p.indices].sum()) for p in parts] == [12, 4, 4]
    assert parts.train.indices.tolist() != sorted(parts.train.indices.tolist())


def test_split_by_fractions_counts_and_labels():
    d = data.TensorDataset(lamina.arange(10))
    assert [len(p) for p in data.split(d, (0.8, 0.1, 0.1))] == [8, 1, 1]
    assert [len(p) for p in data.split(d, (5, 3, 2))] == [5, 3, 2]
    assert [len(p) for p in data.split(Squares(20), stratify=[0, 1] * 10)] == [12, 4, 4]
    assert [len(p) for p in data.random_split(d, [0.5, 0.2, 0.3])] == [5, 2, 3]
    assert sorted(int(i) for p in data.random_split(d, [7, 3]) for i in p.indices) == list(range(10))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda d: data.split(d, "half"), "rule must be 'auto'"),
        (lambda d: data.split(d, (0.5, 0.5)), "training, validation and test"),
        (lambda d: data.split(d, (0.5, 0.4, 0.2)), "do not sum to 1"),
        (lambda d: data.split(d, (0.5, 0.5, float("nan"))), "do not sum to 1"),
        (lambda d: data.rule_of_thumb(-1), "must not be negative, got -1"),
        (lambda d: data.split(d, (5, 5, 5)), "do not sum to the 10 samples"),
        (lambda d: data.split(d, (0.98, 0.01, 0.01)), "too few"),
        (lambda d: data.split(d, stratify=[0, 1]), "one label for each of 10"),
        (lambda d: data.split_mismatched(d, data.TensorDataset(lamina.ones(1))), "2 samples or more"),
    ],
)
def test_splits_that_make_no_sense(call, message):
    with pytest.raises(ValueError, match=message):
        call(data.TensorDataset(lamina.arange(10)))


def test_mismatched_data():
    source, target = data.TensorDataset(lamina.arange(1000)), data.TensorDataset(lamina.arange(60))
    parts = data.split_mismatched(source, target, seed=2)
    assert [len(p) for p in parts] == [970, 30, 30, 30]
    assert parts.train.dataset is parts.train_dev.dataset is source
    assert parts.validation.dataset is parts.test.dataset is target
    assert sorted(parts.train.indices.tolist() + parts.train_dev.indices.tolist()) == list(range(1000))


# ---- normalisation ----


@pytest.mark.parametrize("dim, shape", [(0, (50, 3)), ((0, 2, 3), (9, 2, 4, 5)), (None, (7, 5)), (0, (30,))])
def test_normalizer(dim, shape):
    x = lamina.randn(*shape) * 3 + 5
    normalizer = data.Normalizer(dim).fit(x)
    y = normalizer(x).numpy().astype(np.float64)
    axes = tuple(range(len(shape))) if dim is None else dim
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axes), 1, rtol=1e-5)
    np.testing.assert_allclose(normalizer.inverse(normalizer(x)).numpy(), x.numpy(), rtol=1e-5, atol=1e-5)


def test_features_that_never_change_are_only_centred():
    x = lamina.stack([lamina.full((9,), 0.1), lamina.arange(9.0)], 1)
    assert data.Normalizer().fit(x)(x)[:, 0].abs().max() < 1e-6


def test_normalizer_is_fitted_on_the_training_set_and_saved(tmp_path):
    d = data.TensorDataset((lamina.arange(40) * 7 % 11).reshape(20, 2).byte(), lamina.arange(20))
    parts = data.split(d)
    normalizer = data.Normalizer().fit(parts.train)
    assert normalizer.mean.dtype is lamina.float32
    want = d.tensors[0].numpy()[parts.train.indices.numpy()].mean(0)
    np.testing.assert_allclose(normalizer.mean.numpy(), want, rtol=1e-6)
    normalizer.save(tmp_path / "f")
    again = data.Normalizer.load(tmp_path / "f")
    applied = again.apply(parts.test)
    assert applied.tensors[0].tolist() == normalizer(data.tensors_of(parts.test)[0]).tolist()
    assert applied.tensors[1].tolist() == parts.test.indices.tolist()


def test_normalizer_refuses():
    with pytest.raises(RuntimeError, match="call fit"):
        data.Normalizer().transform(lamina.ones(3))
    with pytest.raises(ValueError, match="one sample or more"):
        data.Normalizer().fit(lamina.ones(0, 3))
    with pytest.raises(ValueError, match="NaN or infinite"):
        data.Normalizer().fit(lamina.tensor([1.0, float("nan")]))
    with pytest.raises(ValueError, match="expected mean and std"):
        data.Normalizer().load_state_dict({"mean": lamina.ones(1)})


# ---- what they say of themselves ----


def test_data_sets_loaders_and_samplers_have_readable_reprs():
    whole = data.TensorDataset(lamina.zeros(20, 3), lamina.arange(20))
    rows = "TensorDataset(20 × (float32 (3,), int64 ()))"
    part = data.Subset(whole, [1, 2, 3])
    sampler = data.LengthBatchSampler([3, 1, 2], max_tokens=4, strategy="shuffle")
    for what, said in (
        (part, f"Subset(3 of {rows})"),
        (whole + part, "ConcatDataset(23 samples)"),
        (Squares(7), "Squares(7 samples)"),
        (data.IterableDataset(iter(())), "IterableDataset()"),
        (data.DataLoader(whole, 8, shuffle=True), f"DataLoader({rows}, batch_size=8, shuffle=True, 3 batches)"),
        (data.DataLoader(data.IterableDataset(iter(())), 2), "DataLoader(IterableDataset(), batch_size=2)"),
        (sampler, "LengthBatchSampler(3 sequences, strategy='shuffle', max_tokens=4)"),
        (
            data.DataLoader(part, batch_sampler=sampler),
            f"DataLoader(Subset(3 of {rows}), batch_sampler={sampler!r}, {len(sampler)} batches)",
        ),
        (data.WeightedRandomSampler([1, 2], 5), "WeightedRandomSampler(5 of 2, replacement=True)"),
        (data.Normalizer().fit(whole), "Normalizer(dim=0, fitted to (3,))"),
    ):
        assert repr(what) == said


# ---- what goes wrong in a batch ----


def test_samplers_and_transforms_that_go_wrong_are_named():
    whole = data.TensorDataset(lamina.zeros(4, 3))
    for sampler in (data.WeightedRandomSampler([0, 0, 0, 0, 1], 3), [2, -1]):
        with pytest.raises(IndexError, match="the sampler asks for sample (4|-1) of a data set of 4"):
            list(data.DataLoader(whole, 2, sampler=sampler))
    with pytest.raises(RuntimeError, match=r"transform\(batch, generator\) of batch 0: TypeError: .* 2 were given"):
        next(iter(data.DataLoader(whole, 2, transform=lambda x: x)))
