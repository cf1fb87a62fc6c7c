class Request:
    name: str
