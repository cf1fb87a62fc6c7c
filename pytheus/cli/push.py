"""``pytheus push``: send the metrics of a registry that processes share, or of a file, once."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from pytheus.cli.click_support import REGISTRY_OPTION
from pytheus.cli.sending_options import TIMEOUT_SECONDS, parse_grouping

if TYPE_CHECKING:
    from pytheus.push.gateway import Gateway, PushMethod
    from pytheus.registry import Registry

__all__ = ["command"]

_MAX_SOURCE_BYTES: Final = 64 * 1024 * 1024

_QUOTED: Final = r'"(?:[^"\\]|\\[\\n"])*"'
_NAME: Final = r"[A-Za-z_:][A-Za-z0-9_:]*"
_LABEL: Final = rf"[ \t]*(?:{_NAME}|{_QUOTED})[ \t]*(?:=[ \t]*{_QUOTED}[ \t]*)?"
_LABELS: Final = rf"\{{(?:{_LABEL}(?:,{_LABEL})*,?)?[ \t]*\}}"
_NUMBER: Final = r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)"
# A comment, or a sample without timestamp and exemplar, which neither a Pushgateway nor node_exporter takes.
_LINE: Final = re.compile(rf"[ \t\r]*(?:#.*|(?:{_NAME}[ \t]*(?:{_LABELS})?|{_LABELS})[ \t]*(?i:{_NUMBER})[ \t\r]*)?")


@click.command(
    "push",
    epilog=(
        "\b\nexamples:\n  pytheus push http://gateway:9091 --job shop --registry multiprocess:///run/shop\n"
        "  pytheus push /var/lib/node_exporter/backup.prom --from backup.txt\n"
        "  echo 'backup_bytes 5e9' | pytheus push http://gateway:9091 --job backup --from -\n\n"
        "\b\nexit codes: 0; 2 if the metrics were not stored, and one line on stderr says why."
    ),
)
@click.argument("receiver", metavar="URL|FILE|-")
@click.option("--job", metavar="NAME", help="The job of the group in the Pushgateway.")
@click.option("--grouping", metavar="LABELS", help="Further labels of the group: instance=db1,zone=a")
@click.option("--merge", is_flag=True, help="Keep families of other names that the group has.")
@click.option("--delete", is_flag=True, help="Remove the group instead.")
@click.option("--from", "source", metavar="FILE|-", help="An exposition in the text format, in place of a registry.")
@click.option(
    "--timeout-seconds",
    type=click.FloatRange(min=0, max=86_400, min_open=True),
    default=TIMEOUT_SECONDS,
    help="The longest time it may take, 10 by default.",
)
@click.option(
    "--token-file", metavar="FILE", help="A bearer token; passwords are in the URL: http://USER:PASSWORD@HOST"
)
@click.option("--ca-file", metavar="FILE", help="The authorities to trust, PEM.")
@click.option("--cert-file", metavar="FILE", help="The certificate to show, PEM.")
@click.option("--key-file", metavar="FILE", help="Its key, PEM.")
@REGISTRY_OPTION
def command(
    receiver: str,
    job: str | None,
    grouping: str | None,
    merge: bool,
    delete: bool,
    source: str | None,
    timeout_seconds: float,
    token_file: str | None,
    ca_file: str | None,
    cert_file: str | None,
    key_file: str | None,
    registry: str | None,
) -> int:
    """Send metrics once: to a Pushgateway, into a FILE for node_exporter, or to standard output.

    The metrics are those of the chosen registry, which several processes share, all of them together; or those of
    --from. A file is replaced in one step.
    """
    is_gateway = "://" in receiver
    if not is_gateway and (job or grouping or merge or delete or token_file or ca_file or cert_file or key_file):
        raise click.UsageError("--job and the options of a Pushgateway need its URL, such as http://gateway:9091")
    if source is not None and registry is not None:
        raise click.UsageError("--from and --registry exclude each other")
    if is_gateway:
        if not job:
            raise click.UsageError("a Pushgateway needs --job NAME")
        from pytheus.push.access import Access
        from pytheus.push.gateway import Gateway

        try:
            labels = {} if grouping is None else parse_grouping(grouping)
        except ValueError as error:
            raise click.UsageError(f"--grouping takes {error}") from None
        access = Access(bearer_token_file=token_file, ca_file=ca_file, cert_file=cert_file, key_file=key_file)
        gateway = Gateway(receiver, job, labels, access=access, timeout_seconds=timeout_seconds)
        if delete:
            gateway.delete()
            return 0
        _send(gateway, source, registry, "merge" if merge else "replace", timeout_seconds)
        return 0
    body = _read(source, timeout_seconds) if source is not None else _collected(registry, timeout_seconds)
    if receiver == "-":
        if sys.stdout is None:
            raise click.ClickException("there is no standard output; name a file")
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return 0
    from pytheus.push.textfile import replace_file

    replace_file(receiver, body, 0o644)
    return 0


def _send(gateway: Gateway, source: str | None, registry: str | None, method: PushMethod, seconds: float) -> None:
    if source is not None:
        gateway.push_text(_read(source, seconds), method=method)
    else:
        with _shared(registry) as shared:
            gateway.push(shared, method=method)


@contextmanager
def _shared(named: str | None) -> Iterator[Registry]:
    """The chosen registry, in a context; raises `SelectionError` if it is in the memory of one process."""
    from pytheus.exceptions import SelectionError
    from pytheus.plugins.plan import plan
    from pytheus.plugins.resolve import configure
    from pytheus.registry import REGISTRY, Closable

    planned = plan(named)
    if planned.problem is not None:
        raise planned.problem
    if planned.claim is None:
        raise SelectionError(
            f"{planned.subject} is in the memory of one process, and this command is another one; choose one that"
            " processes share, such as --registry multiprocess:///DIRECTORY, or name a file by --from"
        )
    configure(named)
    try:
        yield REGISTRY
    finally:
        resolved = REGISTRY.registry
        if isinstance(resolved, Closable):
            resolved.close()


def _collected(named: str | None, seconds: float) -> bytes:
    from pytheus.push.deadline import checked_seconds
    from pytheus.push.rendering import rendered

    with _shared(named) as shared:
        return rendered(shared, checked_seconds(seconds, "pytheus push"), "text").body


def _read(source: str, seconds: float) -> bytes:
    """Return the content of a file, or of standard input, if it is valid in the text format."""
    from pytheus.cli.source_file import read_source

    try:
        body = read_source(source, _MAX_SOURCE_BYTES + 1, seconds)
    except OSError as error:
        raise click.ClickException(f"cannot read {source}: {error.strerror}") from error
    shown = "standard input" if source == "-" else source
    if len(body) > _MAX_SOURCE_BYTES:
        raise click.ClickException(f"{shown} has more than {_MAX_SOURCE_BYTES} bytes; send fewer metrics")
    if body and not body.endswith(b"\n"):
        body += b"\n"
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{shown} is not UTF-8: {error.reason} at byte {error.start}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not _LINE.fullmatch(line):
            raise click.ClickException(
                f'line {number} of {shown} is not valid in Prometheus\'s text format; write NAME{{LABEL="TEXT"}} NUMBER'
                " without a timestamp"
            )
    return body
