class Context:
    id: str
    eta: str | None

class Task:
    name: str
    @property
    def request(self) -> Context: ...
