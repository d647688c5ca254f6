"""Neural networks."""

from lamina.nn import functional as functional
