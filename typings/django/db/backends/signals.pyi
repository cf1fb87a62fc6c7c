from collections.abc import Callable

class _Signal:
    def connect(self, receiver: Callable[..., None], *, weak: bool = ...) -> None: ...

connection_created: _Signal
