from collections.abc import AsyncIterator, Callable, ItemsView, Iterator

class HttpResponseBase:
    close: Callable[[], None]
    status_code: int
    streaming: bool
    headers: dict[str, str]
    def items(self) -> ItemsView[str, str]: ...

class HttpResponse(HttpResponseBase):
    content: bytes
    def __init__(self, content: bytes = ..., *, content_type: str = ...) -> None: ...

class StreamingHttpResponse(HttpResponseBase):
    is_async: bool
    streaming_content: Iterator[bytes] | AsyncIterator[bytes]
    file_to_stream: object  # of FileResponse
