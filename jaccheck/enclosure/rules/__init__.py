"""One rule for each layer, activation and function, read from the files of this folder."""

from importlib import import_module
from pkgutil import iter_modules

from jaccheck.enclosure.rules._rule import TABLE as TABLE
from jaccheck.enclosure.rules._rule import Rule as Rule
from jaccheck.enclosure.rules._rule import Wire as Wire
from jaccheck.enclosure.rules._rule import layer_call as layer_call

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
