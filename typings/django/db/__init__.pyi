from django.db.backends.base.base import BaseDatabaseWrapper

class _Connections:
    def all(self, initialized_only: bool = ...) -> list[BaseDatabaseWrapper]: ...

connections: _Connections
