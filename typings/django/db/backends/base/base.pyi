class BaseDatabaseWrapper:
    alias: str
    vendor: str
    execute_wrappers: list[object]
