"""Finds the polynomials of csrc/simd/math_*.h and prints them as C constants.

    python bench/lab/minimax.py [name ...]

Each is the polynomial in x, of the coefficients left free, whose largest weighted error on an interval is smallest
(Remez's exchange on a fine grid, in mpmath). Coefficients are then rounded to the working precision one after the other,
lowest power first, the rest being fitted again each time, so that the later ones absorb the rounding of the earlier.
"""

import struct
import sys

from mpmath import mp, mpf

mp.prec = 160
GRID = 600


def round_to(x, bits):
    """The float32 (24 bits) or float64 (53 bits) nearest to x."""
    if bits == 24:
        return mpf(struct.unpack("f", struct.pack("f", float(x)))[0])
    return mpf(float(x))


def remez(target, weight, basis, points):
    """Coefficients c minimising max |weight * (target - sum c_i basis_i)| over the points."""
    n = len(basis)
    rows = [[b(x) for b in basis] for x in points]
    f = [target(x) for x in points]
    w = [weight(x) for x in points]
    chosen = [round(i * (len(points) - 1) / n) for i in range(n + 1)]
    for _ in range(60):
        system = mp.matrix([[*rows[i], (-1) ** k / w[i]] for k, i in enumerate(chosen)])
        solution = mp.lu_solve(system, mp.matrix([f[i] for i in chosen]))
        c, level = list(solution)[:n], abs(solution[n])
        error = [w[i] * (f[i] - mp.fdot(c, rows[i])) for i in range(len(points))]
        # One extremum for each run of equal signs; drop the smaller end until n + 1 remain.
        peaks = []
        for i, e in enumerate(error):
            if peaks and (e > 0) == (error[peaks[-1]] > 0):
                if abs(e) > abs(error[peaks[-1]]):
                    peaks[-1] = i
            else:
                peaks.append(i)
        while len(peaks) > n + 1:
            peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
        worst = max(abs(e) for e in error)
        if len(peaks) < n + 1 or worst < level * mpf("1.0001"):
            return c, worst
        chosen = peaks
    return c, worst


def fit(target, weight, powers, low, high, bits=24, known=()):
    """Fits target(x) by the sum of c_p x^p, p in powers. `known`: coefficients given in advance as (power, value)."""
    middle, half = (mpf(low) + mpf(high)) / 2, (mpf(high) - mpf(low)) / 2
    points = [middle - half * mp.cos(mp.pi * (i + mpf(1) / 2) / GRID) for i in range(GRID)]
    fixed = list(known)
    free = list(powers)
    while free:
        c, worst = remez(
            lambda x: target(x) - mp.fsum(v * x**p for p, v in fixed),
            weight,
            [lambda x, p=p: x**p for p in free],
            points,
        )
        fixed.append((free.pop(0), round_to(c[0], bits)))
    error = max(abs(weight(x) * (target(x) - mp.fsum(v * x**p for p, v in fixed))) for x in points)
    return fixed[len(known) :], error


def fit_at_once(target, degree, low, high, doubles=0):
    """The same for the relative error, every coefficient rounded by itself (the first `doubles` of them to float64): for
    high degrees on one side of 0."""
    middle, half = (mpf(low) + mpf(high)) / 2, (mpf(high) - mpf(low)) / 2
    points = [middle - half * mp.cos(mp.pi * (i + mpf(1) / 2) / GRID) for i in range(GRID)]
    c, _ = remez(target, relative(target), [lambda x, p=p: x**p for p in range(degree + 1)], points)
    rounded = [(p, round_to(v, 53 if p < doubles else 24)) for p, v in enumerate(c)]
    error = max(abs(mp.fsum(v * x**p for p, v in rounded) / target(x) - 1) for x in points)
    return rounded, error


def hex_constant(v):
    text, bits = float(v).hex(), 24 if round_to(v, 24) == v else 53
    mantissa, exponent = text.split("p")
    mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}p{exponent}" + ("f" if bits == 24 else "")


def relative(f):
    return lambda x: 1 / f(x)


LN2 = mp.log(2)


# Each entry: what to approximate, the weight of its error, the powers, the interval, and the precision.
# "(exp(x) - 1 - x) / x^2" stands for the p of exp(x) ~ 1 + x + x^2 p(x): its error counts as that of exp(x).
def second_order_remainder(x):
    return mp.fsum(x**k / mp.factorial(k + 2) for k in range(40))


def log_remainder(x):
    """(log(1 + x) - x) / x^2"""
    if abs(x) < mpf(2) ** -30:
        return -mpf(1) / 2 + x / 3
    return (mp.log1p(x) - x) / x**2


def odd_remainder(f, slope=1):
    """(f(x) - slope x) / x^3 for an odd f with that slope at 0."""
    return lambda x: (f(x) - slope * x) / x**3


def third_power_over(f):
    return lambda x: abs(x**3 / f(x))


def mills(a):
    """The tail of the normal distribution over exp(-a^2 / 2)."""
    return mp.erfc(a / mp.sqrt(2)) * mp.exp(a * a / 2) / 2


POLYNOMIALS = {
    "exp": lambda: fit(second_order_remainder, lambda x: x**2 / mp.exp(x), range(5), -0.34658, 0.34658),
    "exp2": lambda: fit(lambda x: mpf(2) ** x, lambda x: mpf(2) ** -x, range(1, 7), -0.5, 0.5, known=[(0, mpf(1))]),
    "log": lambda: fit(
        log_remainder,
        lambda x: abs(x**2 / mp.log1p(x)) if x else mpf(0),
        range(1, 10),
        mp.sqrt(0.5) - 1,
        mp.sqrt(2) - 1,
        known=[(0, mpf(-0.5))],
    ),
    "sin": lambda: fit(odd_remainder(mp.sin), third_power_over(mp.sin), range(0, 6, 2), 0, 0.79),
    "cos": lambda: fit(
        lambda x: (mp.cos(x) - 1 + x**2 / 2) / x**4, lambda x: x**4 / mp.cos(x), range(0, 6, 2), 0.01, 0.79
    ),
    "tan": lambda: fit(odd_remainder(mp.tan), third_power_over(mp.tan), range(0, 14, 2), 0, 0.79),
    "asin": lambda: fit(odd_remainder(mp.asin), third_power_over(mp.asin), range(0, 10, 2), 0, 0.5),
    "atan": lambda: fit(odd_remainder(mp.atan), third_power_over(mp.atan), range(0, 18, 2), 0, 1),
    "normal": lambda: fit_at_once(
        lambda t: (6 / (1 - t)) * mills(3 * (1 + t) / (1 - t)), 10, -1, mpf("11.5") / mpf("17.5"), doubles=3
    ),
    "sinh": lambda: fit(odd_remainder(mp.sinh), third_power_over(mp.sinh), range(0, 8, 2), 0, 1),
}


if __name__ == "__main__":
    for name in sys.argv[1:] or POLYNOMIALS:
        coefficients, error = POLYNOMIALS[name]()
        print(f"{name}: error {mp.nstr(error, 3)} = 2^{mp.nstr(mp.log(error, 2), 4)}")
        for power, value in coefficients:
            print(f"  x^{power}: {hex_constant(value)}")
