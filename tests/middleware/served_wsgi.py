"""The application that test_servers.py lets WSGI servers run, with its metrics at /metrics."""

from __future__ import annotations

import itertools
import os
import time

from flask import Flask, Response, request, send_file
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from pytheus import make_wsgi_app
from pytheus.middleware import WsgiMiddleware

app = Flask(__name__, root_path=os.getcwd())


@app.get("/items/<item>")
def item(item: str) -> str:
    return item


@app.get("/fails")
def fails() -> str:
    raise RuntimeError("on purpose")


@app.post("/upload")
def upload() -> str:
    return str(len(request.get_data()))


@app.get("/waits")
def waits() -> str:
    while not os.path.exists("may-end"):
        time.sleep(0.01)
    return "waited"


@app.get("/stream")
def stream() -> Response:
    return Response(b"part" for _ in range(3))


@app.get("/endless")
def endless() -> Response:
    return Response(itertools.repeat(b"part" * 10_000))


@app.get("/file")
def file() -> Response:
    return send_file("file", mimetype="text/plain")


measured = WsgiMiddleware(app.wsgi_app, sizes=True)
app.wsgi_app = DispatcherMiddleware(measured, {"/metrics": make_wsgi_app()})  # type: ignore[method-assign]  # as Flask's documents say
