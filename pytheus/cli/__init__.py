"""The command ``pytheus``.

- `__main__`: the table of subcommands
- `check`: ``pytheus check``
- `check_target`: the registry that ``pytheus check`` checks, found by name; objects and modules by name
- `click_support`: shared parts of the commands that are written with click
- `command`: the command of ``pytheus run -- COMMAND``, and the service of its metrics
- `completion`: ``pytheus completion``
- `config`: ``pytheus config``
- `dashboard`: ``pytheus dashboard``
- `forked_children`: forked children of the program of ``pytheus run``
- `init_process`: the command as a child of the first process of a container
- `inspection`: import a plugin in another interpreter, for ``pytheus plugins --check``
- `interpreter`: the Python of a command, and whether it has pytheus
- `meant`: the command that the user of ``pytheus run`` may have meant
- `migrate`: ``pytheus migrate``
- `new`: ``pytheus new``
- `plugins`: ``pytheus plugins``
- `push`: ``pytheus push``
- `progress`: the progress of a command, and its report alone on stdout
- `python_runner`: the program that ``pytheus run`` runs as python would
- `run`: ``pytheus run``
- `run_options`: its options by flag, variable and configuration file alike
- `serving_options`: the options of its server
- `sending_options`: the options of the receivers that get the metrics of a program that ends
- `end_of_run`: the end of such a program
- `writing_options`: the options of the receivers that get the metrics while a program runs
- `writers`: the writers of such a program
- `sidecar`: the command in this process, and a process beside it that serves its metrics
"""
