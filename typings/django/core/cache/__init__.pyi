from collections.abc import Callable, Iterator

class CacheHandler:
    _connections: object
    create_connection: Callable[[str], object]
    def __iter__(self) -> Iterator[str]: ...
    def __getitem__(self, alias: str) -> object: ...
    def __setitem__(self, alias: str, cache: object) -> None: ...

caches: CacheHandler
