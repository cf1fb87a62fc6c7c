"""The command ``pytheus``.

- `__main__`: the table of subcommands
- `check`: ``pytheus check``
- `check_target`: the registry that ``pytheus check`` checks, found by name
- `child_process`: the command that ``pytheus run -- COMMAND`` starts
- `click_support`: shared parts of the commands that are written with click
- `completion`: ``pytheus completion``
- `config`: ``pytheus config``
- `inspection`: import a plugin in another interpreter, for ``pytheus plugins --check``
- `new`: ``pytheus new``
- `plugins`: ``pytheus plugins``
- `python_runner`: the program that ``pytheus run`` runs as python would
- `run`: ``pytheus run``
"""
