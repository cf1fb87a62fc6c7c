"""Errors survive pickle, copy and deepcopy, whatever classes plugins write."""

from __future__ import annotations

import copy
import dataclasses
import multiprocessing
import multiprocessing.pool
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from pytheus import REGISTRY, Counter
from pytheus.exceptions import (
    ConflictError,
    OptionError,
    PluginLoadError,
    PytheusError,
    PytheusWarning,
    UnknownRegistryError,
)
from pytheus.registry import CollectorRegistry

WAYS: dict[str, Callable[[BaseException], BaseException]] = {
    **{
        f"pickle-{protocol}": lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))  # type: ignore[misc]  # mypy infers no lambda with a default
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def _attributes(error: BaseException) -> dict[str, object]:
    slots = [name for owner in type(error).__mro__ for name in vars(owner).get("__slots__", ())]
    return vars(error) | {name: getattr(error, name) for name in slots if hasattr(error, name)}


def assert_same(found: BaseException, error: BaseException) -> None:
    assert found is not error
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert repr(found.args) == repr(error.args)
    assert repr(_attributes(found)) == repr(_attributes(error))


# Classes as plugins may write them ------------------------------------------------------------------------------------


class KeywordOnlyError(PytheusError):
    def __init__(self, *, host: str, port: int) -> None:
        super().__init__(f"no answer from {host}:{port}")
        self.host = host
        self.port = port


class ComputedError(OptionError):
    def __init__(self, first: int, second: int, *rest: int) -> None:
        super().__init__(f"{first} and {second}", key="numbers")
        self.total = sum((first, second, *rest))


class OwnTextError(PytheusError):
    def __init__(self, code: int) -> None:
        self.code = code  # the base's constructor is not called

    def __str__(self) -> str:
        return f"code {self.code}"


class SlotsError(PytheusError):
    __slots__ = ("__hidden", "empty", "port")

    def __init__(self, port: int) -> None:
        super().__init__("slots")
        self.port = port
        self.__hidden = -port

    @property
    def hidden(self) -> int:
        return self.__hidden


@dataclasses.dataclass(frozen=True)
class FrozenError(PytheusError):
    host: str
    port: int = 6379

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class NewError(PytheusError):
    extra: int

    def __new__(cls, extra: int, /) -> Self:
        made = super().__new__(cls)
        made.extra = extra
        return made

    def __init__(self, extra: int, /) -> None:
        super().__init__("made by __new__")


class SystemError_(OSError, PytheusError):
    def __init__(self, *, path: str) -> None:
        super().__init__(13, "Permission denied", path)
        self.path = path


class UnicodeError_(PytheusError, UnicodeDecodeError):
    def __init__(self, data: bytes) -> None:
        super().__init__("utf-8", data, 0, 1, "no text")


class ImportError_(PytheusError, ImportError):
    def __init__(self, *, module: str) -> None:
        super().__init__(f"no {module}", name=module, path="/nowhere")


class GroupError(PytheusError, ExceptionGroup[ValueError]):
    def __new__(cls, errors: list[ValueError], *, where: str) -> Self:
        made = super().__new__(cls, f"in {where}", errors)
        made.where = where
        return made

    where: str

    def __init__(self, errors: list[ValueError], *, where: str) -> None:
        super().__init__(f"in {where}", errors)


class OwnWarning(PytheusWarning):
    def __init__(self, *, port: int) -> None:
        super().__init__(f"port {port}")
        self.port = port


class OwnReductionError(PytheusError):
    def __init__(self, *, port: int) -> None:
        super().__init__(f"port {port}")
        self.port = port

    def __reduce__(self) -> tuple[Callable[[int], PytheusError], tuple[int]]:
        return _own_reduction, (self.port,)


def _own_reduction(port: int) -> PytheusError:
    error = OwnReductionError(port=port)
    error.from_own = True  # type: ignore[attr-defined]  # the test looks for it
    return error


PLUGIN_ERRORS: dict[str, Callable[[], BaseException]] = {
    "keyword-only": lambda: KeywordOnlyError(host="db", port=1),
    "computed": lambda: ComputedError(1, 2, 3),
    "own text": lambda: OwnTextError(7),
    "slots": lambda: SlotsError(6379),
    "frozen": lambda: FrozenError("db"),
    "new": lambda: NewError(3),
    "OSError": lambda: SystemError_(path="/run/shop"),
    "UnicodeDecodeError": lambda: UnicodeError_(b"\xff"),
    "ImportError": lambda: ImportError_(module="shop"),
    "group": lambda: GroupError([ValueError("one"), ValueError("two")], where="shop"),
    "warning": lambda: OwnWarning(port=80),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("make", PLUGIN_ERRORS.values(), ids=PLUGIN_ERRORS)
def test_classes_of_plugins_survive(
    make: Callable[[], BaseException], way: Callable[[BaseException], BaseException]
) -> None:
    error = make()
    vars(error).update(added={"later": [1, 2]}, __notes__=["a note"])  # a frozen class takes no assignments
    assert_same(way(error), error)
    again = way(way(error))
    assert_same(again, error)


def test_attributes_of_builtin_classes_survive() -> None:
    for way in WAYS.values():
        denied = way(SystemError_(path="/run/shop"))
        assert isinstance(denied, SystemError_)
        assert (denied.errno, denied.strerror, denied.filename) == (13, "Permission denied", "/run/shop")
        missing = way(ImportError_(module="shop"))
        assert isinstance(missing, ImportError_)
        assert (missing.name, missing.path) == ("shop", "/nowhere")
        group = way(GroupError([ValueError("one"), ValueError("two")], where="shop"))
        assert isinstance(group, GroupError)
        assert [str(each) for each in group.exceptions] == ["one", "two"]
        slots = way(SlotsError(5))
        assert isinstance(slots, SlotsError)
        assert slots.hidden == -5


def test_a_class_may_define_its_own_reduction() -> None:
    found = pickle.loads(pickle.dumps(OwnReductionError(port=80)))
    assert found.from_own
    assert found.port == 80


# Chains ---------------------------------------------------------------------------------------------------------------


class ForeignError(Exception):
    """It is pickled without an error, and fails when it is read."""

    def __init__(self, host: str, *, port: int) -> None:
        super().__init__(f"{host}:{port}")
        self.port = port


def _raised(error: BaseException, cause: BaseException | None, context: BaseException | None) -> BaseException:
    try:
        try:
            if context is not None:
                raise context
        finally:
            if cause is not None:
                raise error from cause
            raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_chain_survives(way: Callable[[BaseException], BaseException]) -> None:
    first = _raised(ForeignError("db", port=1), None, None)
    second = _raised(KeywordOnlyError(host="db", port=2), first, KeyError("context"))
    error = _raised(PluginLoadError("no plugin", name="shop"), second, None)
    found = way(error)
    assert found.__cause__ is not None
    assert_same(found.__cause__, second) if found.__cause__ is not second else None
    assert isinstance(found.__cause__.__cause__, ForeignError)
    assert (str(found.__cause__.__cause__), found.__cause__.__cause__.port) == ("db:1", 1)
    assert isinstance(found.__cause__.__context__, KeyError)
    assert found.__suppress_context__
    assert found.__traceback__ is None


def test_a_hidden_context_stays_hidden() -> None:
    with pytest.raises(OptionError) as caught:
        try:
            raise ValueError("hunter2")
        except ValueError:
            raise OptionError("a password is wrong", key="password") from None
    for way in WAYS.values():
        found = way(caught.value)
        assert found.__suppress_context__
        assert found.__cause__ is None


def test_a_long_chain_survives() -> None:
    error: BaseException = KeywordOnlyError(host="db", port=0)
    for port in range(1, 2000):
        following = KeywordOnlyError(host="db", port=port)
        following.__cause__ = error
        error = following
    found: BaseException | None = pickle.loads(pickle.dumps(error))
    count = 0
    while found is not None:
        found, count = found.__cause__, count + 1
    assert count == 2000


def test_a_chain_that_is_a_circle_survives() -> None:
    one, two = KeywordOnlyError(host="a", port=1), KeywordOnlyError(host="b", port=2)
    one.__context__, two.__cause__ = two, one
    found = pickle.loads(pickle.dumps(one))
    assert found.__context__.__cause__ is found


# Values that cannot be pickled ----------------------------------------------------------------------------------------


class _Holder:
    def __init__(self) -> None:
        self.error: BaseException | None = None


class _Untellable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __reduce__(self) -> str:
        raise TypeError("no pickle")


def test_what_cannot_be_pickled_keeps_its_text() -> None:
    registry = CollectorRegistry()
    orders = Counter("orders_total", "Orders.", registry=registry)
    error = _raised(ConflictError("taken", name="orders_total", incumbent=orders), None, None)
    error.lock = threading.Lock()  # type: ignore[attr-defined]  # any attribute may be added
    error.deep = {"locks": [error.lock], "ok": (1, "x")}  # type: ignore[attr-defined]  # as above
    found = pickle.loads(pickle.dumps(error))
    assert isinstance(found, ConflictError)
    assert (found.name, str(found)) == ("orders_total", "taken")
    assert repr(found.incumbent) == repr(orders)
    assert str(found.incumbent) == str(orders)
    assert repr(found.lock) == repr(error.lock)  # type: ignore[attr-defined]  # as above
    assert found.deep["ok"] == (1, "x")  # type: ignore[attr-defined]  # as above
    copied = copy.deepcopy(error)
    assert copied.lock is error.lock  # type: ignore[attr-defined]  # as above
    pickle.loads(pickle.dumps(ConflictError("taken", name="x", incumbent=_Untellable())))


def test_arguments_that_cannot_be_pickled_keep_the_text() -> None:
    error = PytheusError("text", threading.Lock(), lambda: None)
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is PytheusError
    assert str(found) == str(error)


def test_errors_that_refer_to_each_other_end() -> None:
    holder = _Holder()
    error = ConflictError("taken", name="x", incumbent=holder)
    holder.error = error
    inner = KeywordOnlyError(host="db", port=1)
    inner.outer = error  # type: ignore[attr-defined]  # any attribute may be added
    error.inner = inner  # type: ignore[attr-defined]  # as above
    error.itself = [error]  # type: ignore[attr-defined]  # as above
    found = pickle.loads(pickle.dumps(error))
    assert str(found) == "taken"
    assert str(found.inner) == str(inner)
    assert str(copy.deepcopy(error)) == "taken"
    assert copy.deepcopy(error).itself[0] is not error  # type: ignore[attr-defined]  # as above


def test_errors_deep_in_attributes_take_no_exponential_time() -> None:
    error: BaseException = ForeignError("db", port=0)
    for port in range(1, 40):
        holder = _Holder()
        holder.error = error
        following = KeywordOnlyError(host="db", port=port)
        following.first, following.second = error, holder  # type: ignore[attr-defined]  # any attribute may be added
        error = following
        if port > 12:
            following.second = None  # type: ignore[attr-defined]  # two ways to each would double the size
    found = pickle.loads(pickle.dumps(error))
    assert found.first.first.port == 37


def test_a_local_class_arrives_as_the_nearest_importable_one() -> None:
    class LocalError(OptionError):
        def __str__(self) -> str:
            return "a local text"

    found = pickle.loads(pickle.dumps(LocalError("x", key="port")))
    assert type(found) is OptionError
    assert (str(found), found.key) == ("a local text", "port")
    assert type(copy.copy(LocalError("x", key="port"))) is LocalError


# Processes ------------------------------------------------------------------------------------------------------------


def _ask_for_a_registry_that_does_not_exist(_: int) -> None:
    REGISTRY.set_registry("nope")


def _raise(name: str) -> None:
    raise PLUGIN_ERRORS[name]()


def _conflict(_: int) -> None:
    registry = CollectorRegistry()
    Counter("orders_total", "Orders.", registry=registry)
    Counter("orders_total", "Others.", ["method"], registry=registry)


@pytest.fixture(params=["fork", "spawn"], scope="module")
def pool(request: pytest.FixtureRequest) -> Iterator[multiprocessing.pool.Pool]:
    # At the end: a spawned process must find this module, and the installed pytheus before the checkout's.
    root = str(Path(__file__).resolve().parent.parent)
    sys.path.append(root)
    try:
        with multiprocessing.get_context(request.param).Pool(1) as made:
            yield made
    finally:
        sys.path.remove(root)


def test_a_pool_passes_errors_to_its_caller(pool: multiprocessing.pool.Pool) -> None:
    with pytest.raises(UnknownRegistryError) as unknown:
        pool.apply_async(_ask_for_a_registry_that_does_not_exist, (1,)).get(60)
    assert unknown.value.name == "nope"
    assert "default" in unknown.value.available
    with pytest.raises(ConflictError) as conflict:
        pool.apply_async(_conflict, (1,)).get(60)
    assert "orders_total" in repr(conflict.value.incumbent)
    for name, make in PLUGIN_ERRORS.items():
        expected = make()
        if isinstance(expected, FrozenError):
            continue  # multiprocessing itself assigns its `__cause__`
        with pytest.raises(type(expected)) as caught:
            pool.apply_async(_raise, (name,)).get(60)
        assert_same(caught.value, expected)
