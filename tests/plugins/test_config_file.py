"""Which configuration file is read, whether it is obeyed, and what is said about the others."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from pytheus.exceptions import ConfigurationError, PytheusWarning
from pytheus.plugins import configured_strict, resolve_registry
from pytheus.plugins.config import Configuration, load_configuration

NEEDS_ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files to others"
)
NEEDS_MODES = pytest.mark.skipif(os.name == "nt", reason="there are no modes of files")
OTHER, STRANGER = 12345, 12346
HOSTILE = '[tool.pytheus]\nregistry = "none"\n'


def is_obeyed(configuration: Configuration) -> bool:
    assert (configuration.registry is None) == (configuration.path is None)
    return configuration.registry is not None


@pytest.fixture
def below(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a directory of ours below the one that has the file."""
    home.chmod(0o755)
    below = home / "below"
    below.mkdir(mode=0o755)
    monkeypatch.chdir(below)
    return below


@pytest.fixture
def hostile(pyproject: Path, below: Path) -> Path:
    """A file above the working directory."""
    pyproject.write_text(HOSTILE)
    pyproject.chmod(0o644)
    return pyproject


def the_warning(path: Path, reason: str) -> str:
    return f"configuration file {path} is ignored, because it {reason}; to obey it, name it in PYTHEUS_CONFIG"


# Trust ----------------------------------------------------------------------------------------------------------------


def test_a_file_of_ours_is_obeyed(hostile: Path) -> None:
    assert is_obeyed(load_configuration())


@NEEDS_ROOT
@pytest.mark.parametrize(
    ("file_owner", "here_owner", "obeyed"),
    [(0, 0, True), (OTHER, 0, False), (OTHER, OTHER, True), (0, OTHER, True), (STRANGER, OTHER, False)],
    ids=["ours", "another's", "the working directory's", "ours in another's", "a third one's"],
)
def test_the_owner_decides(file_owner: int, here_owner: int, obeyed: bool, hostile: Path, below: Path) -> None:
    os.chown(hostile, file_owner, file_owner)
    os.chown(below, here_owner, here_owner)
    configuration = load_configuration()
    assert is_obeyed(configuration) is obeyed
    if not obeyed:
        reason = f"belongs to another user (with the id {file_owner})"
        assert configuration.warnings == (the_warning(hostile, reason),)
        assert configuration.looked_at == ((str(hostile), f"ignored, because it {reason}"),)


@NEEDS_ROOT
def test_the_owner_decides_in_the_working_directory_too(pyproject: Path) -> None:
    pyproject.write_text(HOSTILE)
    os.chown(pyproject, OTHER, OTHER)
    assert not is_obeyed(load_configuration())


@NEEDS_MODES
@pytest.mark.parametrize(
    ("mode", "obeyed"), [(0o600, True), (0o644, True), (0o664, True), (0o666, False), (0o646, False), (0o602, False)]
)
def test_who_can_write_the_file_decides(mode: int, obeyed: bool, hostile: Path) -> None:
    hostile.chmod(mode)
    configuration = load_configuration()
    assert is_obeyed(configuration) is obeyed
    if not obeyed:
        assert configuration.warnings == (the_warning(hostile, "can be written by every user"),)


@NEEDS_ROOT
@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_group_may_write_if_it_is_ours_or_that_of_the_working_directory(
    what: str, hostile: Path, below: Path
) -> None:
    writable = hostile if what == "file" else hostile.parent
    writable.chmod(0o775)
    assert is_obeyed(load_configuration())
    os.chown(writable, 0, OTHER)
    place = "is in a directory that can be" if what == "directory" else "can be"
    assert load_configuration().warnings == (
        the_warning(hostile, f"{place} written by another group (with the id {OTHER})"),
    )
    os.chown(below, 0, OTHER)
    assert is_obeyed(load_configuration())


@NEEDS_MODES
@pytest.mark.parametrize(("mode", "obeyed"), [(0o777, False), (0o1777, True), (0o757, False), (0o755, True)])
def test_who_can_replace_the_file_decides(mode: int, obeyed: bool, hostile: Path) -> None:
    hostile.parent.chmod(mode)
    configuration = load_configuration()
    assert is_obeyed(configuration) is obeyed
    if not obeyed:
        assert configuration.warnings == (the_warning(hostile, "is in a directory that can be written by every user"),)


@NEEDS_MODES
def test_a_symbolic_link_of_ours_is_followed(below: Path, pyproject: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o755)
    (target / "settings.toml").write_text(HOSTILE)
    pyproject.symlink_to(target / "settings.toml")
    assert is_obeyed(load_configuration())
    target.chmod(0o777)
    assert "is in a directory that can be written by every user" in load_configuration().warnings[0]
    target.chmod(0o755)
    (target / "settings.toml").chmod(0o646)
    assert "can be written by every user" in load_configuration().warnings[0]


@NEEDS_ROOT
def test_a_symbolic_link_of_another_user_is_ignored(below: Path, pyproject: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(HOSTILE)
    pyproject.symlink_to(tmp_path / "settings.toml")
    os.chown(pyproject, OTHER, OTHER, follow_symlinks=False)
    reason = f"is a symbolic link of another user (with the id {OTHER})"
    assert load_configuration().warnings == (the_warning(pyproject, reason),)


@NEEDS_ROOT
def test_a_file_of_another_user_behind_a_link_of_ours_is_ignored(below: Path, pyproject: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(HOSTILE)
    os.chown(tmp_path / "settings.toml", OTHER, OTHER)
    pyproject.symlink_to(tmp_path / "settings.toml")
    assert not is_obeyed(load_configuration())


@NEEDS_MODES
@pytest.mark.parametrize("to", ["nothing", "pyproject.toml"], ids=["nothing", "itself"])
def test_a_symbolic_link_without_a_target_is_no_file(to: str, below: Path, pyproject: Path) -> None:
    pyproject.symlink_to(to)
    assert load_configuration().looked_at == ()


@NEEDS_MODES
def test_the_search_goes_on_above_a_file_that_is_ignored(hostile: Path, below: Path) -> None:
    (below / "pyproject.toml").write_text('[tool.pytheus]\nregistry = "other"\n')
    (below / "pyproject.toml").chmod(0o666)
    configuration = load_configuration()
    assert configuration.registry == "none"
    assert [path for path, _ in configuration.looked_at] == [str(below / "pyproject.toml"), str(hostile)]
    assert len(configuration.warnings) == 1


@NEEDS_MODES
@pytest.mark.parametrize("content", ["[project]\n", "][", "\xff"])
def test_a_file_that_has_no_setting_is_ignored_without_a_warning(content: str, hostile: Path) -> None:
    hostile.write_text(content, "latin-1")
    hostile.chmod(0o666)
    configuration = load_configuration()
    assert configuration.warnings == ()
    assert configuration.looked_at[0].decision == "ignored, because it can be written by every user"


@NEEDS_MODES
def test_an_ignored_file_cannot_stop_the_program(hostile: Path) -> None:
    hostile.write_text("[tool.pytheus]\nregistry = 5 pytheus")
    hostile.chmod(0o666)
    assert not is_obeyed(load_configuration())


@NEEDS_ROOT
def test_a_file_that_was_named_is_obeyed_with_any_owner(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(hostile, OTHER, OTHER)
    hostile.chmod(0o666)
    hostile.parent.chmod(0o777)
    monkeypatch.setenv("PYTHEUS_CONFIG", str(hostile))
    assert is_obeyed(load_configuration())
    assert load_configuration().warnings == ()


@NEEDS_MODES
@pytest.mark.parametrize("use", [resolve_registry, configured_strict])
def test_the_program_is_warned(use: Callable[[], object], hostile: Path) -> None:
    hostile.chmod(0o666)
    with pytest.warns(PytheusWarning) as caught:
        use()
    assert str(caught[0].message) == the_warning(hostile, "can be written by every user")


@NEEDS_ROOT
def test_a_user_who_is_not_root_obeys_itself_and_root(tmp_path: Path) -> None:
    folder = Path("/tmp", f"pytheus-{os.getpid()}-{tmp_path.name}")  # tmp_path is closed to other users
    folder.mkdir(mode=0o755)
    file, here = folder / "pyproject.toml", folder / "here"
    try:
        file.write_text(HOSTILE)
        here.mkdir(mode=0o755)
        for owner, here_owner, registry in (
            (0, 0, "none"),
            (OTHER, 0, "none"),
            (STRANGER, 0, "None"),
            (STRANGER, OTHER, "None"),
            (STRANGER, STRANGER, "none"),
        ):
            os.chown(file, owner, owner)
            os.chown(here, here_owner, here_owner)
            assert as_other_user(here, lambda: str(load_configuration().registry)) == registry
    finally:
        here.rmdir()
        file.unlink()
        folder.rmdir()


def as_other_user(here: Path, act: Callable[[], str]) -> str:
    """The text that `act` returns in a process of the user `OTHER` that works in `here`."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(OTHER)
            os.setuid(OTHER)
            os.chdir(here)
            text = act()
        except BaseException as error:
            text = repr(error)
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


# What cannot be read --------------------------------------------------------------------------------------------------


def refused() -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration()
    assert caught.value.__cause__ is caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[tool.pytheus]\nx = " + b"9" * 5000, "a number is too long"),
        (b"[tool.pytheus]\nx = 0x" + b"f" * 5000, "has an integer of more than 64 bits"),
        (b"[tool.pytheus.registries.x]\ny = [[1, 9223372036854775808]]", "has an integer of more than 64 bits"),
        (b"[tool.pytheus]\nx = " + b"[" * 50000, "it is nested too deeply"),
        (b"[tool.pytheus.registries.x]\ny" + b".y" * 500 + b" = 1", "is nested in more than 32 levels"),
        (b"[tool.pytheus]\nx = 2026-13-45\n", "is not valid TOML: "),
        (b"[tool.pytheus]\nx = 25:61:61\n", "is not valid TOML: "),
        (b"[tool.pytheus]\nx = '\xff'\n", "it is not UTF-8 text; save it as UTF-8"),
        ("[tool.pytheus]\n".encode("utf-16"), "it is not UTF-8 text; save it as UTF-8"),
        ("[tool.pytheus]\n".encode("utf-32-be"), "it is not UTF-8 text; save it as UTF-8"),
        (b"\xef\xbb\xbf[tool.pytheus]\n", "begins with a byte order mark; save it as UTF-8 without one"),
        (b'[tool.pytheus]\n"x - at `$.y`" = 1\n', "[tool.pytheus] has"),
        (b"[tool.pytheus]\n'a`b\\nc' = 1\n", "[tool.pytheus] has the unknown key of another form; it takes: "),
        (b"[tool.pytheus]\nwrap = [{ 'x - at `$.wrap[7]`' = 1 }]\n", "[tool.pytheus] has"),
        (b"[tool]\npytheus = 5\n", "'tool.pytheus' must be a table but is an integer"),
        (b"tool = 5 # pytheus\n[tool.pytheus]\n", "is not valid TOML: "),
        (b"[tool.pytheus.registry.default]\n", "write [tool.pytheus.registries.NAME] for options"),
    ],
)
@pytest.mark.parametrize("is_named", [False, True], ids=["nearest", "named"])
def test_each_error_of_the_parser_is_one_of_configuration(
    content: bytes, words: str, is_named: bool, pyproject: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyproject.write_bytes(content)
    if is_named:
        monkeypatch.setenv("PYTHEUS_CONFIG", str(pyproject))
    error = refused()
    assert words in str(error)
    assert str(pyproject) in str(error)
    assert len(str(error)) < 400


def test_no_secret_of_the_file_is_in_an_error(pyproject: Path) -> None:
    for content in (
        b"[tool.pytheus.registries.redis]\npassword = 'hunter2\xff'\n",
        b"[tool.pytheus.registries.redis]\npassword = 'hunter2'\nx = \n",
        b"[tool.pytheus]\nregistry = ['redis://:hunter2@h']\n",
        b"[tool.pytheus]\nregistries = 'redis://:hunter2@h'\n",
        b"[tool.pytheus]\n'redis://:hunter2@h' = 5\n",
        b"[tool.pytheus.registries]\n'redis://:hunter2@h' = 5\n",
        b"[tool.pytheus]\nwrap = [{ 'redis://:hunter2@h' = 5 }]\n",
        b"[tool.pytheus]\nwrap = ['redis://:hunter2@h']\n",
        b"[tool.pytheus]\nstrict = 'hunter2'\n",
    ):
        pyproject.write_bytes(content)
        assert "hunter2" not in "".join(traceback.format_exception(refused()))


@pytest.fixture
def special(tmp_path: Path) -> list[str]:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    return [str(pipe), "/dev/zero", "/dev/null", "/dev/tty", str(tmp_path), "/dev/stdin"]


@NEEDS_MODES
def test_a_special_file_is_refused_and_not_waited_for(special: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for path in special:
        if os.path.isfile(os.path.realpath(path)) or not os.path.exists(path):
            continue  # the standard input may be a file
        monkeypatch.setenv("PYTHEUS_CONFIG", path)
        assert "is not a regular file" in str(refused())


@NEEDS_MODES
def test_a_special_file_is_no_pyproject(below: Path, pyproject: Path) -> None:
    os.mkfifo(pyproject)
    (below / "pyproject.toml").mkdir()
    configuration = load_configuration()
    assert [decision for _, decision in configuration.looked_at] == ["ignored, because it is not a regular file"] * 2
    assert configuration.warnings == ()


# Names that are nearly right ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "table"),
    [
        ("[tool.pythues]\nx = 1\n", "tool.pythues"),
        ("[tool.pytheu.registries.redis]\nx = 1\n", "tool.pytheu"),
        ("[tool.Pytheus]\nx = 1\n", "tool.Pytheus"),
        ("[tools.pytheus]\nx = 1\n", "tools.pytheus"),
        ("[tol.pythueus]\nx = 1\n", "tol.pythueus"),
        ("[pytheus]\nx = 1\n", "pytheus"),
        ('["tool.pytheus"]\nx = 1\n', "tool.pytheus"),
        ("tool.pythesu.registry = 'none'\n", "tool.pythesu"),
        ("[tool]\nptheus = { registry = 'none' }\n", "tool.ptheus"),
        ("[tool.pytheus]\nregistry = 'none'\n[tools.pytheus.registries.redis]\n", "tools.pytheus"),
    ],
)
def test_a_misspelt_table_is_told(content: str, table: str, pyproject: Path) -> None:
    pyproject.write_text(content)
    assert load_configuration().warnings == (
        f"configuration file {pyproject}: the table [{table}] is not read; did you mean [tool.pytheus]?",
    )


@pytest.mark.parametrize(
    "content",
    [
        "[tool.pytest.ini_options]\n[tool.pyright]\n[tool.poetry]\n[tool.python]\n",
        "[project]\ndependencies = ['pytheus', 'pytheus-redis']\n[tool.uv.sources]\npytheus = { path = '.' }\n",
        "[tool.pytheus-acme]\nx = 1\n",
        "# pythues\n][",
        "[tool]\npythues = 5\n",
    ],
)
def test_another_table_is_not_told(content: str, pyproject: Path) -> None:
    pyproject.write_text(content)
    if content.endswith("]["):
        assert load_configuration().looked_at[0].decision.endswith("because it is not valid TOML")
    assert load_configuration().warnings == ()


def test_the_program_is_warned_of_a_misspelt_table(pyproject: Path) -> None:
    pyproject.write_text("[tool.pythues]\nregistry = 'none'\n")
    with pytest.warns(PytheusWarning, match=r"did you mean \[tool\.pytheus\]\?"):
        resolve_registry()


def test_a_named_file_with_a_misspelt_table_is_refused(pyproject: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyproject.write_text("[tools.pytheus]\nregistry = 'none'\n")
    monkeypatch.setenv("PYTHEUS_CONFIG", str(pyproject))
    assert "has no table [tool.pytheus] ([tools.pytheus] is not read); add it, even empty" in str(refused())


@pytest.mark.parametrize(
    ("content", "decision"),
    [
        (b"[project]\n", "decides, and has no [tool.pytheus]"),
        (b"# latin: \xe4\n", "decides, and has no [tool.pytheus], because it is not UTF-8 text"),
        (b"[tool.pytheus]\n", "has [tool.pytheus]"),
    ],
)
def test_the_decision_about_the_nearest_file_is_kept(content: bytes, decision: str, pyproject: Path) -> None:
    pyproject.write_bytes(content)
    assert load_configuration().looked_at == ((str(pyproject), decision),)
