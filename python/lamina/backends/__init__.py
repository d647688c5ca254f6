"""How operations are computed: what is chosen, and how to choose otherwise."""

from lamina.backends import conv as conv
