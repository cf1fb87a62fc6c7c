from collections.abc import Callable, ItemsView

class HttpResponseBase:
    close: Callable[[], None]
    status_code: int
    streaming: bool
    headers: dict[str, str]
    def items(self) -> ItemsView[str, str]: ...

class HttpResponse(HttpResponseBase):
    content: bytes
    def __init__(self, content: bytes = ..., *, content_type: str = ...) -> None: ...
