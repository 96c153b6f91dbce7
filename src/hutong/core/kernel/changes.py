"""Making frozen dataclasses, and changing them as `dataclasses.replace` does, at a fifth of their cost.

A frozen dataclass sets each field through `object.__setattr__`. Here the fields are set on a twin of it, of
the same slots and not frozen, that then becomes the class itself. A turn does little else than this.
"""

from collections.abc import Callable
from dataclasses import field, fields, make_dataclass
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

Params = ParamSpec("Params")
Shape = TypeVar("Shape")

if TYPE_CHECKING:
    from dataclasses import replace as changed  # so that names and types of the changes are checked

    def made(kind: Callable[Params, Shape], *values: Params.args, **named: Params.kwargs) -> Shape:
        """Return `kind(...)`."""

else:

    def made(kind: type[Shape], *values: object, **named: object) -> Shape:
        """Return `kind(...)`, worth it from some eight fields on. As with `changed`: slots, and no
        `__post_init__`.
        """
        value = _twin(kind)[0](*values, **named)
        value.__class__ = kind
        return value

    def changed(value: Shape, **changes: object) -> Shape:
        """Return a copy with some fields changed. It must have slots and nothing to do after its making."""
        kind = type(value)
        twin, read = _twin(kind)
        copy = twin(*read(value))
        for name, change in changes.items():
            setattr(copy, name, change)
        copy.__class__ = kind
        return copy


@cache
def _twin(kind: type[Any]) -> tuple[type[Any], Callable[[object], tuple[object, ...]]]:
    """Return a class of the same slots that is not frozen, and what reads all fields."""
    own = fields(kind)
    again = [
        (each.name, object, field(default=each.default, default_factory=each.default_factory)) for each in own
    ]
    twin = make_dataclass(f"{kind.__name__}Twin", again, slots=True)
    names = [each.name for each in own]
    # Of one name an `attrgetter` gives the value and not a tuple.
    read = attrgetter(*names) if len(names) > 1 else lambda value: tuple(getattr(value, n) for n in names)
    return twin, read


__all__ = ["changed", "made"]
