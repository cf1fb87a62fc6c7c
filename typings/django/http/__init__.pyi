from collections.abc import Mapping

from django.http.response import HttpResponse as HttpResponse
from django.http.response import HttpResponseBase as HttpResponseBase

class Http404(Exception): ...

class QueryDict(dict[str, str]):
    def getlist(self, key: str) -> list[str]: ...

class HttpRequest:
    META: dict[str, object]
    GET: QueryDict
    method: str | None
    path: str
    @property
    def scheme(self) -> str | None: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
