"""The proven enclosure of a batched Jacobian."""

from __future__ import annotations

from jaccheck.enclosure.ball import Ball as Ball
from jaccheck.enclosure.oracle import Oracle as Oracle
from jaccheck.enclosure.oracle import Outside as Outside
