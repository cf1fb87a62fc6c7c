"""The command ``pytheus``.

- `__main__`: the table of subcommands
- `check`: ``pytheus check``
- `check_target`: the registry that ``pytheus check`` checks, found by name
- `click_support`: shared parts of the commands that are written with click
- `command`: the command of ``pytheus run -- COMMAND``, and the process beside it that serves its metrics
- `completion`: ``pytheus completion``
- `config`: ``pytheus config``
- `init_process`: the same in the first process of a container, as whose child the command runs
- `inspection`: import a plugin in another interpreter, for ``pytheus plugins --check``
- `new`: ``pytheus new``
- `plugins`: ``pytheus plugins``
- `python_runner`: the program that ``pytheus run`` runs as python would
- `run`: ``pytheus run``
"""
