"""The command ``pytheus``: one module for each subcommand, loaded when it is called."""
