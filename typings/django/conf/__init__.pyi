from collections.abc import Sequence

class LazySettings:
    MIDDLEWARE: Sequence[str]

settings: LazySettings
