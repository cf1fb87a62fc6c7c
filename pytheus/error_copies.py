"""Errors that survive pickle, copy and deepcopy, whatever their constructors take.

Rules:

- An error is recreated from its class, `args`, attributes and slots. Its constructor is not called, so that
  keyword-only and computed arguments need no code in the class.
- The errors that it is chained to come along with pickle. Copies refer to the same ones.
- A pickled error always arrives: an attribute that cannot be pickled becomes an object with the same text, and a class
  that cannot be imported by name becomes the nearest class above it that can.
"""

from __future__ import annotations

import copy
import pickle
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeAlias, TypeVar, cast

__all__ = ["copied", "has_own_reduction", "pickled", "restored"]

_HEAP_TYPE: Final = 1 << 9  # https://docs.python.org/3/c-api/typeobj.html#c.Py_TPFLAGS_HEAPTYPE
_PLAIN: Final = frozenset({type(None), bool, int, float, complex, str, bytes})


class _Parts(NamedTuple):
    """An error as it is recreated; `cause` and `context` are positions in the chain, or None."""

    made_as: type[BaseException]
    args: tuple[object, ...]
    attributes: Mapping[str, object]
    cause: int | None = None
    context: int | None = None
    suppress_context: bool = False


Copied = TypeVar("Copied", bound=BaseException)
_Reduction: TypeAlias = "tuple[Callable[..., object], tuple[object, ...]]"
"""https://docs.python.org/3/library/pickle.html#object.__reduce__"""


def copied(error: Copied, memo: dict[int, object] | None = None) -> Copied:
    """A copy of `error` without its traceback; a deep one if `memo` is given, as `copy.deepcopy` passes it."""

    def deep(value: object) -> object:
        try:
            return copy.deepcopy(value, memo)
        except Exception:
            return value  # a lock, or another object that has no copies

    attributes = _attributes(error)
    result = _new(type(error), error.args, attributes)
    if memo is None:
        _fill(result, error.args, attributes)
    else:
        memo[id(error)] = result
        _fill(result, tuple(map(deep, error.args)), {name: deep(value) for name, value in attributes.items()})
    _chain(result, error.__cause__, error.__context__, error.__suppress_context__)
    return result


def pickled(error: BaseException) -> _Reduction:
    """The result of ``error.__reduce_ex__``."""
    chained = list(_errors_of_chain(error))
    positions: dict[int | None, int] = {id(each): position for position, each in enumerate(chained)}
    with _under_way(chained):
        return restored, tuple(
            _portable(each)._replace(
                cause=positions.get(id(each.__cause__)),
                context=positions.get(id(each.__context__)),
                suppress_context=each.__suppress_context__,
            )
            for each in chained
        )


def has_own_reduction(of: type[BaseException]) -> bool:
    """Whether a class, other than a builtin one, defines how `of` is pickled."""
    owner = next(each for each in of.__mro__ if "__reduce__" in vars(each))
    return bool(owner.__flags__ & _HEAP_TYPE)


def restored(*chain: _Parts) -> BaseException:
    """The error whose `pickled` is `chain`."""
    errors = [_made(*parts[:3]) for parts in chain]
    for error, parts in zip(errors, chain, strict=True):
        cause = None if parts.cause is None else errors[parts.cause]
        context = None if parts.context is None else errors[parts.context]
        _chain(error, cause, context, parts.suppress_context)
    return errors[0]


def _errors_of_chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    remaining: list[BaseException | None] = [error]
    while remaining:
        current = remaining.pop(0)
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            yield current
            remaining += [current.__cause__, current.__context__]


def _chain(
    error: BaseException, cause: BaseException | None, context: BaseException | None, suppress_context: bool
) -> None:
    # Not by assignment, which a class may forbid, as a frozen dataclass does.
    for name, value in (("__cause__", cause), ("__context__", context), ("__suppress_context__", suppress_context)):
        BaseException.__setattr__(error, name, value)


# One error ------------------------------------------------------------------------------------------------------------


def _attributes(error: BaseException) -> dict[str, object]:
    """The attributes of `error` by name: those of its `__dict__`, of slots, and of builtin classes, such as `errno`."""
    attributes: dict[str, object] = {}
    for owner in type(error).__mro__:
        for name, member in vars(owner).items():
            if not isinstance(member, types.MemberDescriptorType) or name == "__suppress_context__":
                continue
            try:
                value: object = member.__get__(error)
            except AttributeError:
                continue  # a slot without a value
            if value is not None or owner.__flags__ & _HEAP_TYPE:
                attributes.setdefault(name, value)
    return attributes | vars(error)


def _made(made_as: type[BaseException], args: tuple[object, ...], attributes: Mapping[str, object]) -> BaseException:
    error = _new(made_as, args, attributes)
    _fill(error, args, attributes)
    return error


def _new(made_as: type[Copied], args: tuple[object, ...], attributes: Mapping[str, object]) -> Copied:
    """An empty error of the class `made_as`, created by the builtin class below it."""
    builtin: type[BaseException] = made_as
    while builtin.__flags__ & _HEAP_TYPE and builtin.__base__ is not None:
        builtin = builtin.__base__
    needed = ("message", "exceptions") if issubclass(builtin, BaseExceptionGroup) else ()
    create = cast("Callable[..., Copied]", builtin.__new__)
    return create(made_as, *(attributes[name] for name in needed))


def _fill(error: BaseException, args: tuple[object, ...], attributes: Mapping[str, object]) -> None:
    BaseException.__setattr__(error, "args", args)
    in_dict = vars(error)
    for name, value in attributes.items():
        member = getattr(type(error), name, None)
        if isinstance(member, types.MemberDescriptorType):
            try:
                member.__set__(error, value)
            except AttributeError:
                pass  # read-only, as an exception group's errors are, which are given to its constructor
        else:
            in_dict[name] = value


def _portable(error: BaseException) -> _Parts:
    """The parts of `error`, all of which can be pickled."""
    args, attributes, text = error.args, _attributes(error), _told(str, error)
    portable = {name: _portable_value(value) for name, value in attributes.items()}
    for made_as in type(error).__mro__:
        if not issubclass(made_as, BaseException) or not _has_an_import_name(made_as):
            continue
        for candidate in (args, (text,)):
            try:
                if str(_made(made_as, candidate, attributes)) == text:
                    return _Parts(made_as, tuple(map(_portable_value, candidate)), portable)
            except Exception:
                pass  # a class that its own constructor alone can create
    return _Parts(Exception, (text,), {})


def _has_an_import_name(made_as: type[BaseException]) -> bool:
    try:
        return pickle.loads(pickle.dumps(made_as)) is made_as
    except Exception:
        return False


# Values ---------------------------------------------------------------------------------------------------------------


class _Unpicklable:
    """The text of a value that cannot be pickled, where the value was."""

    def __init__(self, value: object) -> None:
        self._repr, self._str = _told(repr, value), _told(str, value)

    def __repr__(self) -> str:
        return self._repr

    def __str__(self) -> str:
        return self._str


def _told(words: Callable[[object], str], value: object) -> str:
    try:
        return words(value)
    except Exception:
        return object.__repr__(value)


class _Reduced:
    """A value that is pickled as `reduction`, and arrives as the result of that."""

    def __init__(self, reduction: _Reduction) -> None:
        self._reduction: Final = reduction

    def __reduce__(self) -> _Reduction:
        return self._reduction


def _portable_value(value: object) -> object:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if id(value) in _ids_under_way():
        return _Unpicklable(value)  # an error that refers to itself
    try:
        with _under_way([value]):
            if isinstance(value, BaseException):
                return _Reduced(pickled(value))
            if isinstance(value, (list, tuple, set, frozenset)) and kind in (list, tuple, set, frozenset):
                return kind(map(_portable_value, value))
            if isinstance(value, dict) and kind is dict:
                return {_portable_value(key): _portable_value(held) for key, held in value.items()}
            # Once, because an object may contain errors, which would be tried again at each level.
            data = pickle.dumps(value)
            pickle.loads(data)
            return _Reduced((pickle.loads, (data,)))
    except Exception:
        return _Unpicklable(value)


_in_thread = threading.local()


def _ids_under_way() -> set[int]:
    """The ids of the objects that this thread is pickling."""
    ids: set[int] = _in_thread.__dict__.setdefault("ids", set())
    return ids


@contextmanager
def _under_way(values: Iterable[object]) -> Iterator[None]:
    ids = _ids_under_way()
    added = set(map(id, values)) - ids
    ids |= added
    try:
        yield
    finally:
        ids -= added
