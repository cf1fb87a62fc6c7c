"""The web configuration: its keys, its errors, and the secrets that no error contains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.exceptions import ConfigurationError
from pytheus.exposition.access import Access
from pytheus.exposition.web_config import read_web_config

pytest.importorskip("yaml")
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
SECRET = "hunter2-$9"

TLS = "tls_server_config:\n  cert_file: a\n  key_file: b\n"
MUTUAL = TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: c\n"


@pytest.fixture
def web(tmp_path: Path) -> Path:
    return tmp_path / "web.yml"


def test_the_sample_of_the_exporters_is_read(web: Path) -> None:
    web.write_text(
        f"tls_server_config:\n  cert_file: server.crt\n  key_file: keys/server.key\n"
        f"basic_auth_users:\n  alice: {HASH}\n  'bob': {HASH}\n"
    )

    config = read_web_config(str(web))

    assert config.users == {"alice": HASH, "bob": HASH}
    assert config.tls is not None
    assert config.tls.cert.file == str(web.parent / "server.crt")
    assert config.files == (str(web), str(web.parent / "server.crt"), str(web.parent / "keys/server.key"))
    assert (config.tls.min_version, config.tls.max_version) == ("TLS12", "TLS13")


@pytest.mark.parametrize("text", ["", "# nothing\n", "basic_auth_users:\ntls_server_config: ~\n"])
def test_an_empty_file_restricts_nothing(web: Path, text: str) -> None:
    web.write_text(text)
    config = read_web_config(str(web))
    assert (config.tls, dict(config.users), config.tokens, config.headers) == (None, {}, (), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a", "line 1: the file must be a mapping of keys to values but is a list"),
        ("a: [", "web.yml line 1, column 5: not valid YAML"),
        ("\nbasic_auth_user: {}", "line 2: the web configuration has the unknown key 'basic_auth_user'; it takes: tls"),
        ("rate_limit: {burst: 1}", "line 1: this server does not support rate_limit; the server limits the scrapes"),
        ("basic_auth_users: []", "line 1: basic_auth_users must be a mapping of keys to values but is a list"),
        ("basic_auth_users: {a: b, a: c}", "line 1: 'a' of basic_auth_users is given twice; keep one of them"),
        (f"basic_auth_users:\n  a: {SECRET}", "line 2: the password of a user is not a bcrypt hash; write the output"),
        (f"basic_auth_users:\n  a: [{SECRET}]", "line 2: a secret must be a text but is a list"),
        (f"basic_auth_users:\n  'a:b': {HASH}", "the name of a user is empty or contains ':'"),
        (
            f"bearer_token_files: {SECRET}",
            "bearer_token_files must be a list but is a text; write each item after '- '",
        ),
        ("bearer_token_files: [{}]", "a secret must be a text but is a mapping"),
        ("bearer_token_files: [missing]", "missing: No such file or directory"),
        ("bearer_token_files: [.]", "cannot read|is not a regular file"),
        ("bearer_token_files: [web.yml]", "which bearer_token_files names, does not contain one bearer token"),
        (
            "tls_server_config: {min_version: TLS13}",
            "tls_server_config has no cert_file; TLS needs cert_file and key_f",
        ),
        ("tls_server_config: {cert_file: a}", "tls_server_config has no key_file"),
        (f"{TLS}  key: {SECRET}", "line 4: both key and key_file are given; keep one of them"),
        (f"{TLS}  min_version: TLS14", "line 4: min_version must be one of TLS10, TLS11, TLS12, TLS13 but is 'TLS14'"),
        (f"{TLS}  min_version: TLS13\n  max_version: TLS12", "min_version TLS13 is later than max_version TLS12"),
        (f"{TLS}  client_auth_type: Maybe", "client_auth_type must be one of NoClientCert, Verify.* but is 'Maybe'"),
        (f"{TLS}  client_auth_type: RequireAnyClientCert", "accepts any certificate without verifying it.*; write Req"),
        (
            f"{TLS}  client_auth_type: VerifyClientCertIfGiven",
            "client_auth_type VerifyClientCertIfGiven needs client_ca",
        ),
        (f"{TLS}  client_ca_file: c", "client_ca_file has no effect without client_auth_type; write RequireAndVerify"),
        (f"{TLS}  client_allowed_sans: [a]", "client_allowed_sans needs client_auth_type RequireAndVerifyClientCert"),
        (
            f"{TLS}  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]",
            "cipher_suites must be one of TLS_ECDHE_ECDSA.* but is 'T",
        ),
        (f"{TLS}  curve_preferences: [P]", "curve_preferences must be one of CurveP256, .*, X25519 but is 'P'"),
        (f"{TLS}  curve_preferences: [X25519, CurveP256]", "has 2 curves, but this server takes one; without the key"),
        (f"{TLS}  prefer_server_cipher_suites: 1", "prefer_server_cipher_suites must be true or false but is a number"),
        ("http_server_config: {headers: {X-Other: a}}", "headers has the unknown key 'X-Other'; it takes: Content-Sec"),
        (
            "http_server_config: {headers: {X-Frame-Options: a}}",
            "X-Frame-Options must be one of deny, sameorigin but is",
        ),
        ('http_server_config: {headers: {X-XSS-Protection: "a\\r\\nb: c"}}', "must be one line of ASCII"),
        ("? [a]\n: b", "a key of the web configuration is not a text"),
        ("a: &a [*a]", "has the unknown key 'a'"),
    ],
)
def test_errors_say_where_and_how(web: Path, text: str, words: str) -> None:
    web.write_text(text)
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_web_config(str(web))
    assert SECRET not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [f"basic_auth_users: {{a: {HASH}, *x: y}}", f"{HASH}: a", f"key: *{SECRET}", f"'{SECRET}", f"{SECRET}: {HASH}"],
)
def test_no_error_contains_a_secret(web: Path, text: str) -> None:
    web.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_web_config(str(web))
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in str(error)
        assert "$2y$" not in str(error)
        error = error.__cause__
    assert SECRET not in repr(caught.value)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_no_file_does_worse_than_be_refused(tmp_path_factory: pytest.TempPathFactory, content: str | bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    try:
        read_web_config(str(path))
    except ConfigurationError as error:
        assert str(path) in str(error)


def test_a_configuration_does_not_show_its_secrets(web: Path) -> None:
    web.write_text(f"basic_auth_users:\n  alice: {HASH}\ntls_server_config:\n  cert: a\n  key: {SECRET}\n")
    config = read_web_config(str(web))
    assert HASH not in repr(config)
    assert SECRET not in repr(config.tls)


def test_a_large_file_and_a_pipe_are_refused(web: Path) -> None:
    web.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigurationError, match="is larger than 1048576 bytes"):
        read_web_config(str(web))
    if hasattr(os, "mkfifo"):
        os.mkfifo(web.parent / "pipe")
        with pytest.raises(ConfigurationError, match="pipe is not a regular file"):
            read_web_config(str(web.parent / "pipe"))
    with pytest.raises(ConfigurationError, match=r"cannot read .*nowhere: No such file or directory"):
        read_web_config(str(web.parent / "nowhere"))


@pytest.mark.parametrize(("cert", "key"), [("none", "none"), ("web.yml", "web.yml")], ids=["missing", "no PEM"])
def test_certificates_that_cannot_be_used(web: Path, cert: str, key: str) -> None:
    web.write_text(f"tls_server_config:\n  cert_file: {cert}\n  key_file: {key}\n")
    with pytest.raises(ConfigurationError, match=rf"web\.yml: cannot use cert_file .*{cert}( and key_file .*{key})?: "):
        Access(str(web))


@pytest.mark.parametrize("key", ["cert_file", "key_file", "client_ca_file"])
@pytest.mark.parametrize("path", ["pipe", "/dev/zero", "large"])
def test_certificates_are_regular_files_of_a_size(web: Path, key: str, path: str) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs named pipes")
    os.mkfifo(web.parent / "pipe")
    with open(web.parent / "large", "wb") as file:
        file.truncate(1 << 40)
    authority = pytest.importorskip("trustme").CA()
    authority.issue_cert("shop").private_key_and_cert_chain_pem.write_to_path(str(web.parent / "good.pem"))
    files = {"cert_file": "good.pem", "key_file": "good.pem", "client_ca_file": "good.pem", key: path}
    lines = [f"  {name}: {file}\n" for name, file in files.items()]
    web.write_text("tls_server_config:\n  client_auth_type: RequireAndVerifyClientCert\n" + "".join(lines))
    words = "larger than [0-9]+ bytes" if path == "large" else "not a regular file"
    with pytest.raises(ConfigurationError, match=rf"web\.yml: cannot use {key} .*{path}: {words}; write PEM"):
        Access(str(web))


@pytest.mark.parametrize(
    ("text", "module", "words"),
    [("a: b", "yaml", "needs PyYAML"), (f"basic_auth_users: {{a: {HASH}}}", "bcrypt", "needs bcrypt")],
)
def test_what_is_not_installed_is_named(web: Path, text: str, module: str, words: str) -> None:
    web.write_text(text)
    program = (
        f"import sys; sys.modules[{module!r}] = None\nimport pytheus\n"
        f"try: pytheus.start_http_server(0, web_config={str(web)!r})\n"
        "except pytheus.exceptions.ConfigurationError as error: print(error)"
    )
    ended = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert f"{words}, which is not installed; pip install 'pytheus[web]'\n" in ended.stdout, ended.stderr


def test_without_a_web_config_nothing_of_it_is_loaded() -> None:
    program = (
        "import sys, pytheus; pytheus.start_http_server(0).close()\n"
        "print(sorted(sys.modules.keys() & {'ssl', 'yaml', 'bcrypt', 'base64', 'hmac', 'pytheus.exposition.tls'}))"
    )
    ended = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert ended.stdout == "[]\n", ended.stderr
