"""More than 2^31 elements: the stand-in has room for addresses, not for so much memory, and runs only the blocks at the
ends of a large grid and about every 2^31st thread. What these wrote is compared with what the CPU makes of the same part."""

from __future__ import annotations

import pytest

from cuda_library import emulated, run

pytestmark = pytest.mark.usefixtures("cuda")

HEAD = """
import numpy as np
import lamina
from lamina import nn
F = nn.functional
lamina.manual_seed(1)
G = 1 << 31
def put(x, rows):  # the rows that are looked at, filled; what lies between has never been written
    for r in rows:
        x[r:r + 3].copy_(lamina.rand(3, *x.shape[1:]).to(x.dtype) if x.is_floating_point() else lamina.randint(0, 99, (3, *x.shape[1:])).to(x.dtype))
    return x
def look(f, x, rows, **tolerance):
    y = f(x)
    for r in rows:
        expected = f(x[r:r + 3].cpu())
        got = y[r:r + 3].cpu()
        np.testing.assert_allclose(got.float().numpy(), expected.float().numpy(), rtol=1e-5, atol=1e-6, err_msg=str(r))
"""


def works(code: str) -> None:
    done = run(HEAD + code, emulated(), LAMINA_EMULATE_SAMPLE="1", LAMINA_EMULATE_MEMORY=str(128 << 10))
    assert done.returncode == 0, done.stdout + done.stderr


def test_element_wise_operations_copies_and_conversions():
    works("""
n = 2 * G + 1000
rows = (0, G - 1, G, 2 * G - 2, n - 3)
x = put(lamina.empty(n, dtype=lamina.uint8, device="cuda"), rows)
look(lambda x: x + 1, x, rows)
look(lambda x: x.float(), x, rows)
look(lambda x: lamina.where(x > 50, x, 7), x, rows)
y = lamina.empty(n, dtype=lamina.uint8, device="cuda").copy_(x)
assert y[n - 1].item() == x[n - 1].item() and y[G].item() == x[G].item()
y.fill_(9)
assert y[n - 1].item() == 9 and y[2 * G - 1].item() == 9
wide = put(lamina.empty(G // 4 + 9, 8, dtype=lamina.bfloat16, device="cuda"), (0, G // 4))
look(lambda x: x * 2.0, wide, (0, G // 4))
""")


def test_rows():
    works("""
n = G // 16 + 21
rows = (0, n - 3)
x = put(lamina.empty(n, 32, dtype=lamina.float16, device="cuda"), rows)
look(lambda x: F.softmax(x, 1), x, rows)
look(lambda x: x.argmax(1), x, rows)
look(lambda x: x.sum(1), x, rows)
look(lambda x: x.cumsum(1), x, rows)
look(lambda x: lamina.cat([x, x], 1), x, rows)
take = lamina.tensor([0, 1, n - 1, n - 3]).cuda()
np.testing.assert_array_equal(x[take].cpu().float().numpy(), lamina.stack([x[0], x[1], x[n - 1], x[n - 3]]).cpu().float().numpy())
with np.errstate(all="ignore"):
    np.testing.assert_array_equal(F.embedding(take, x).cpu().float().numpy(), x[take].cpu().float().numpy())
wide = put(lamina.empty(G // 64 + 21, 64, dtype=lamina.float32, device="cuda"), (0, G // 64))
look(lambda x: F.layer_norm(x, (64,)), wide, (0, G // 64))
look(lambda x: F.relu(x), wide, (0, G // 64))
""")


def test_products():
    works("""
n = G // 32 + 50
rows = (0, n - 3)
x = put(lamina.empty(n, 64, dtype=lamina.float32, device="cuda"), rows)
weight = lamina.rand(8, 64)
look(lambda x: x @ weight.to(x.device).t(), x, rows)
""")


def test_images():
    works("""
n = G // 1024 + 9
rows = (0, n - 3)
x = put(lamina.empty(n, 4, 16, 16, dtype=lamina.float32, device="cuda"), rows)
look(lambda x: F.max_pool2d(x, 2), x, rows)
look(lambda x: F.avg_pool2d(x, 2), x, rows)
weight = lamina.rand(2, 4, 3, 3)
look(lambda x: F.conv2d(x, weight.to(x.device), padding=1), x, rows)
""")


def test_the_same_random_numbers():
    works("""
n = G + 4096
lamina.manual_seed(4)
x = lamina.empty(n, device="cuda").uniform_()
lamina.manual_seed(4)
y = lamina.empty(4096).uniform_()
np.testing.assert_array_equal(x[:512].cpu().numpy(), y[:512].numpy())
assert 0 < x[n - 1].item() < 1 and x[G].item() != x[0].item()
""")


@pytest.mark.parametrize(
    "code, name",
    [
        ("lamina.empty(G + 5, 1, device='cuda') @ lamina.empty(1, 1, device='cuda')", "matmul"),
        ("F.conv1d(lamina.empty(1, 1, G + 5, device='cuda'), lamina.ones(1, 1, 3, device='cuda'))", "convolution"),
    ],
)
def test_what_cannot_be_counted_says_so(code: str, name: str):
    works(f"""
y = {code}
try:
    lamina.cuda.synchronize()
except RuntimeError as e:
    assert "{name}: CUDA error 100001: more elements than one launch of this kernel can count" in str(e), e
else:
    raise AssertionError("no error")
assert lamina.ones(3, device="cuda").sum().item() == 3
""")
