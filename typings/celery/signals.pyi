from collections.abc import Callable

class Signal:
    def connect(self, receiver: Callable[..., None], *, weak: bool = ...) -> Callable[..., None]: ...

before_task_publish: Signal
task_received: Signal
task_prerun: Signal
task_success: Signal
task_postrun: Signal
task_failure: Signal
task_retry: Signal
task_revoked: Signal
task_unknown: Signal
task_rejected: Signal
